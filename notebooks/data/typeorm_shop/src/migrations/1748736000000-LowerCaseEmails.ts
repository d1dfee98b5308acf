import { MigrationInterface, QueryRunner } from "typeorm";

export class LowerCaseEmails1748736000000 implements MigrationInterface {
    name = 'LowerCaseEmails1748736000000'

    public async up(queryRunner: QueryRunner): Promise<void> {
        queryRunner.query(`UPDATE "customers" SET "email" = lower("email")`);
    }

    public async down(queryRunner: QueryRunner): Promise<void> {
    }

}
