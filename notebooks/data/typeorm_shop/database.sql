-- What TypeORM 1.1.1 sent to an empty database for the six migrations that are applied, and some rows.
-- The last row of its history is there twice: two replicas started at the same moment.

CREATE TABLE "migrations" ("id" SERIAL NOT NULL, "timestamp" bigint NOT NULL, "name" character varying NOT NULL, CONSTRAINT "PK_8c82d7f526340ab734260ea46be" PRIMARY KEY ("id"));
CREATE TABLE "products" ("id" SERIAL NOT NULL, "title" character varying(80) NOT NULL, "price" numeric(10,2) NOT NULL, CONSTRAINT "CHK_90ac64027434b412e08988bcac" CHECK ("price" >= 0), CONSTRAINT "PK_0806c755e0aca124e67c0cf6d7d" PRIMARY KEY ("id"));
CREATE TABLE "orders" ("id" SERIAL NOT NULL, "quantity" integer NOT NULL, "total" numeric(10,2) NOT NULL, "customer_id" integer NOT NULL, "product_id" integer NOT NULL, CONSTRAINT "PK_710e2d4957aa5878dfe94e4ac2f" PRIMARY KEY ("id"));
CREATE INDEX "IDX_772d0ce0473ac2ccfa26060dbe" ON "orders"  ("customer_id");
CREATE TABLE "customers" ("id" SERIAL NOT NULL, "name" character varying(80) NOT NULL, "email" character varying(120) NOT NULL, CONSTRAINT "PK_133ec679a801fab5e070f73d3ea" PRIMARY KEY ("id"));
CREATE UNIQUE INDEX "IDX_8536b8b85c06969f84f0c098b0" ON "customers"  ("email");
ALTER TABLE "orders" ADD CONSTRAINT "FK_772d0ce0473ac2ccfa26060dbe9" FOREIGN KEY ("customer_id") REFERENCES "customers"("id") ON DELETE NO ACTION ON UPDATE NO ACTION;
ALTER TABLE "orders" ADD CONSTRAINT "FK_ac832121b6c331b084ecc4121fd" FOREIGN KEY ("product_id") REFERENCES "products"("id") ON DELETE NO ACTION ON UPDATE NO ACTION;
INSERT INTO "migrations"("timestamp", "name") VALUES (1735689600000, 'CreateShop1735689600000');
CREATE TABLE "countries" ("code" character(2) NOT NULL, "name" character varying(60) NOT NULL, CONSTRAINT "PK_b47cbb5311bad9c9ae17b8c1eda" PRIMARY KEY ("code"));
INSERT INTO "countries" ("code", "name") VALUES ('CH', 'Switzerland'), ('CI', 'Côte d''Ivoire'), ('PT', 'Portugal');
INSERT INTO "migrations"("timestamp", "name") VALUES (1738368000000, 'AddCountries1738368000000');
ALTER TABLE "customers" ADD "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now();
ALTER TABLE "orders" ADD "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now();
INSERT INTO "migrations"("timestamp", "name") VALUES (1740787200000, 'Timestamps1740787200000');
ALTER TABLE "products" ADD "stock" integer NOT NULL DEFAULT 0;
INSERT INTO "migrations"("timestamp", "name") VALUES (1743465600000, 'AddStock1743465600000');
CREATE TYPE "public"."orders_status_enum" AS ENUM('open', 'paid', 'sent');
ALTER TABLE "orders" ADD "status" "public"."orders_status_enum" NOT NULL DEFAULT 'open';
INSERT INTO "migrations"("timestamp", "name") VALUES (1746057600000, 'OrderStatus1746057600000');

INSERT INTO "customers" ("name", "email", "created_at")
SELECT 'Customer ' || n, 'Customer.' || n || CASE WHEN n % 3 = 0 THEN '@Firm' || n % 90 || '.example' ELSE '@Mail.example' END,
       timestamptz '2025-05-01 08:00+00' + n * interval '7 minutes'
  FROM generate_series(1, 2000) n;
INSERT INTO "products" ("title", "price", "stock")
SELECT 'Product ' || n, (n * 37 % 500 + 1) / 4.0, n * 11 % 60 FROM generate_series(1, 50) n;
INSERT INTO "orders" ("customer_id", "product_id", "quantity", "total", "status", "created_at")
SELECT n * 17 % 2000 + 1, n % 50 + 1, n % 4 + 1, (n % 4 + 1) * ((n % 50 + 1) * 37 % 500 + 1) / 4.0,
       (ARRAY['open', 'paid', 'sent'])[n % 3 + 1]::orders_status_enum,
       timestamptz '2025-05-02 08:00+00' + n * interval '3 minutes'
  FROM generate_series(1, 12000) n;

UPDATE "customers" SET "email" = lower("email");
INSERT INTO "migrations"("timestamp", "name") VALUES (1748736000000, 'LowerCaseEmails1748736000000');
INSERT INTO "migrations"("timestamp", "name") VALUES (1748736000000, 'LowerCaseEmails1748736000000');

ANALYZE;
