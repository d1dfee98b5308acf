import { MigrationInterface, QueryRunner } from "typeorm";

export class AddCountries1738368000000 implements MigrationInterface {
    name = 'AddCountries1738368000000'

    public async up(queryRunner: QueryRunner): Promise<void> {
        await queryRunner.query(`CREATE TABLE "countries" ("code" character(2) NOT NULL, "name" character varying(60) NOT NULL, CONSTRAINT "PK_b47cbb5311bad9c9ae17b8c1eda" PRIMARY KEY ("code"))`);
        await queryRunner.query(
            `INSERT INTO "countries" ("code", "name") VALUES ($1, $2), ($3, $4), ($5, $6)`,
            ["CH", "Switzerland", "CI", "Côte d'Ivoire", "PT", "Portugal"],
        );
    }

    public async down(queryRunner: QueryRunner): Promise<void> {
        await queryRunner.query(`DROP TABLE "countries"`);
    }

}
