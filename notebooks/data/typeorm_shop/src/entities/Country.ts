import { Column, Entity, PrimaryColumn } from "typeorm";

@Entity("countries")
export class Country {
    @PrimaryColumn({ type: "char", length: 2 })
    code: string;

    @Column({ type: "varchar", length: 60 })
    name: string;
}
