import { MigrationInterface, QueryRunner } from "typeorm";

const TABLES = ["customers", "orders"];

export class Timestamps1740787200000 implements MigrationInterface {
    name = 'Timestamps1740787200000'

    public async up(queryRunner: QueryRunner): Promise<void> {
        for (const table of TABLES) {
            await queryRunner.query(`ALTER TABLE "${table}" ADD "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now()`);
        }
    }

    public async down(queryRunner: QueryRunner): Promise<void> {
        for (const table of [...TABLES].reverse()) {
            await queryRunner.query(`ALTER TABLE "${table}" DROP COLUMN "created_at"`);
        }
    }

}
