import "reflect-metadata";
import { DataSource } from "typeorm";
import { Country } from "./entities/Country";
import { Customer } from "./entities/Customer";
import { Order } from "./entities/Order";
import { Product } from "./entities/Product";

export default new DataSource({
    type: "postgres",
    url: process.env.DATABASE_URL,
    entities: [Country, Customer, Order, Product],
    migrations: ["src/migrations/{*.ts,*/migration.ts}"],
    migrationsTransactionMode: "each",
});
