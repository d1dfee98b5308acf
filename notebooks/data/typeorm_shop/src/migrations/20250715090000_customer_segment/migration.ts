import { MigrationInterface, QueryRunner } from "typeorm";

export class CustomerSegment1752570000000 implements MigrationInterface {
    name = 'CustomerSegment1752570000000'

    static constraints = {
        customers: { must_exist: true, columns: { email: { type: "varchar", nullable: false } } },
    }

    public async up(queryRunner: QueryRunner): Promise<void> {
        await queryRunner.query(`ALTER TABLE "customers" ADD "segment" character varying(10)`);
    }

    public async down(queryRunner: QueryRunner): Promise<void> {
        await queryRunner.query(`ALTER TABLE "customers" DROP COLUMN "segment"`);
    }

}
