import { MigrationInterface, QueryRunner } from "typeorm";

export class OrdersByDay1751328000000 implements MigrationInterface {
    name = 'OrdersByDay1751328000000'
    static transaction = false

    public async up(queryRunner: QueryRunner): Promise<void> {
        await queryRunner.query(`CREATE INDEX CONCURRENTLY "IDX_c884e321f927d5b86aac7c8f9e" ON "orders" ("created_at")`);
    }

    public async down(queryRunner: QueryRunner): Promise<void> {
        await queryRunner.query(`DROP INDEX "public"."IDX_c884e321f927d5b86aac7c8f9e"`);
    }

}
