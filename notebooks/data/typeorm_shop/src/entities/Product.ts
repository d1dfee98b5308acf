import { Check, Column, Entity, PrimaryGeneratedColumn } from "typeorm";

@Entity("products")
@Check(`"price" >= 0`)
export class Product {
    @PrimaryGeneratedColumn()
    id: number;

    @Column({ type: "varchar", length: 80 })
    title: string;

    @Column({ type: "numeric", precision: 10, scale: 2 })
    price: string;

    @Column({ type: "integer", default: 0 })
    stock: number;
}
