import {
    Column,
    CreateDateColumn,
    Entity,
    Index,
    JoinColumn,
    ManyToOne,
    PrimaryGeneratedColumn,
} from "typeorm";
import { Customer } from "./Customer";
import { Product } from "./Product";

@Entity("orders")
export class Order {
    @PrimaryGeneratedColumn()
    id: number;

    @Index()
    @ManyToOne(() => Customer, (customer) => customer.orders, { nullable: false })
    @JoinColumn({ name: "customer_id" })
    customer: Customer;

    @ManyToOne(() => Product, { nullable: false })
    @JoinColumn({ name: "product_id" })
    product: Product;

    @Column({ type: "integer" })
    quantity: number;

    @Column({ type: "numeric", precision: 10, scale: 2 })
    total: string;

    @Column({ type: "enum", enum: ["open", "paid", "sent"], default: "open" })
    status: "open" | "paid" | "sent";

    @Index()
    @CreateDateColumn({ name: "created_at", type: "timestamp with time zone" })
    createdAt: Date;
}
