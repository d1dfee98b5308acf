import { MigrationInterface, QueryRunner, TableColumn } from "typeorm";

export class AddStock1743465600000 implements MigrationInterface {
    name = 'AddStock1743465600000'

    public async up(queryRunner: QueryRunner): Promise<void> {
        await queryRunner.addColumn(
            "products",
            new TableColumn({ name: "stock", type: "integer", default: 0 }),
        );
    }

    public async down(queryRunner: QueryRunner): Promise<void> {
        await queryRunner.dropColumn("products", "stock");
    }

}
