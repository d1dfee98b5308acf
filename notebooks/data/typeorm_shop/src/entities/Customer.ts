import { Column, CreateDateColumn, Entity, Index, OneToMany, PrimaryGeneratedColumn } from "typeorm";
import { Order } from "./Order";

@Entity("customers")
export class Customer {
    @PrimaryGeneratedColumn()
    id: number;

    @Column({ type: "varchar", length: 80 })
    name: string;

    @Index({ unique: true })
    @Column({ type: "varchar", length: 120 })
    email: string;

    @CreateDateColumn({ name: "created_at", type: "timestamp with time zone" })
    createdAt: Date;

    @Column({ type: "varchar", length: 10, nullable: true })
    segment: string | null;

    @OneToMany(() => Order, (order) => order.customer)
    orders: Order[];
}
