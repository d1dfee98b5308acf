"""migrations of our own, one for every construct that migrations in the wild are made of"""

# ruff: noqa: E501 - these are the lines of migrations

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

HEAD = 'import { MigrationInterface, QueryRunner } from "typeorm";\n'
HEAD += (
    'import { readFileSync } from "fs";\nimport * as fs from "fs";\nimport * as path from "path";\n'
)
HEAD += 'import { join, resolve } from "node:path";\n'


@dataclass(frozen=True)
class Case:
    """The text of a file: given whole, or made of parts."""

    up: str = ""
    down: str = ""
    before: str = ""  # at the top of the file
    inside: str = ""  # in the class
    whole: str = ""
    suffix: str = ".ts"
    newline: str = "\n"
    bom: bool = False

    def text(self, name: str) -> str:
        """The file's text; the class is called as the case is."""
        if self.whole:
            return self.whole
        return (
            f"{HEAD}{self.before}\nexport class {name} implements MigrationInterface {{\n"
            f"  name = '{name}';\n{indent(self.inside, '  ')}\n"
            f"  public async up(queryRunner: QueryRunner): Promise<void> {{\n{self.up}\n  }}\n"
            f"  public async down(queryRunner: QueryRunner): Promise<void> {{\n{self.down}\n  }}\n}}\n"
        )


FILES = {
    "sql/create.sql": b"CREATE TABLE orders (id integer);\nCREATE INDEX ON orders (id);\n",
    "sql/crlf.sql": b"SELECT 1;\r\nSELECT 'caf\xc3\xa9';\r\n",
    "sql/bom.sql": b"\xef\xbb\xbfSELECT 2",
    "sql/broken.sql": b"SELECT '\xff\xfe'",
    "sql/seed.json": b'[{"name": "a", "n": 1}, {"name": "b", "n": 2.5}]',
}

CASES: dict[str, Case] = {}


def case(name: str, up: str = "", down: str = "", **more: object) -> None:
    CASES[name] = Case(up, down, **more)  # type: ignore[arg-type]


# -- 1: straight literals ----------------------------------------------------------------------

case(
    "Generated",
    """    await queryRunner.query(`CREATE TABLE "users" ("id" SERIAL NOT NULL, CONSTRAINT "PK_a" PRIMARY KEY ("id"))`);
    await queryRunner.query(`COMMENT ON COLUMN "users"."id" IS 'the key'; COMMENT ON TABLE "users" IS 'people'`);""",
    """    await queryRunner.query(`DROP TABLE "users"`);""",
)
case(
    "Quotes",
    """    await queryRunner.query('ALTER TABLE "users" ADD "email" character varying');
    await queryRunner.query("UPDATE users SET email = 'x' WHERE email IS NULL");
    await queryRunner.query("");""",
    """    await queryRunner.query('it\\'s "q" \\` done');""",
)
case(
    "Escapes",
    r"""    await queryRunner.query(`a\nb\tc\\d\'e\"f\`g\$h\${x}`);
    await queryRunner.query('a\x41\u0042\u{1F600}\v\f\b\r\q');
    await queryRunner.query(`nul is not sent but \x01 \u{41} \u00e9 is`);""",
    r"""    await queryRunner.query("\uD83D\uDE00 in two halves");
    await queryRunner.query(`$ {x} $$ $1 \$1 {`);""",
)
case(
    "Continuations",
    "    await queryRunner.query('SELECT \\\n  1');\n    await queryRunner.query(`SELECT \\\n  2`);",
    '    await queryRunner.query("a\\\nb\\\nc");',
)
case(
    "CarriageReturns",
    "    await queryRunner.query(`SELECT\n  1,\n  2`);\n    await queryRunner.query('a\\\nb');",
    "    await queryRunner.query(String.raw`a\nb\\n`);",
    newline="\r\n",
)
case("OldLineEnds", "    await queryRunner.query(`x\n y`);", newline="\r")
case("MarkOfByteOrder", "    await queryRunner.query(`SELECT 'é'`);", bom=True)
case(
    "Unicode",
    "    await queryRunner.query(`COMMENT ON TABLE t IS 'Größe 你好 \U0001f600 \u2028 \u00a0'`);",
    "    await queryRunner.query('\u2028 stands in a string');",
)
case(
    "Blocks",
    """    await queryRunner.query(`
      DO $$
      BEGIN
        IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'mood') THEN
          CREATE TYPE mood AS ENUM ('a', 'b');
        END IF;
      END
      $$;
      -- \\`quoted\\` in a comment
    `);""",
    """    await queryRunner.query(`CREATE FUNCTION f() RETURNS trigger AS $body$ BEGIN RETURN NEW; END $body$ LANGUAGE plpgsql`);""",
)
case(
    "Comments",
    """    // a line
    await queryRunner.query(/* before */ `SELECT 1` /* after */, // why
      /* nothing */);
    /* await queryRunner.query(`no`); */
    await /* here */ queryRunner /* there */ . query("SELECT 2 /* kept */");""",
)
case("Nothing", "", "    // intentionally empty")
case(
    "NoSemicolons",
    """    await queryRunner.query(`SELECT 1`)
    await queryRunner.query(`SELECT 2`)""",
    """    return""",
)
case(
    "Returned",
    """    return await queryRunner.query(`SELECT 1`);""",
    """    return queryRunner.query(`SELECT 2`);""",
)
case(
    "NotAwaited",
    """    queryRunner.query(`SELECT 1`);
    void queryRunner.query(`SELECT 2`);
    await queryRunner.query(`SELECT 3`);""",
)
case(
    "Wrapped",
    """    await (queryRunner as any).query(`SELECT 1` as string);
    await (queryRunner!.query(("SELECT 2")!));
    await (<any>queryRunner).query(<string>'SELECT 3');
    (await queryRunner.query(`SELECT 4` satisfies string)) as unknown;
    await queryRunner?.query(`SELECT 5`);
    await queryRunner["query"](`SELECT 6`);""",
)
case(
    "OtherName",
    whole="""import { MigrationInterface, QueryRunner } from "typeorm";
export class OtherName implements MigrationInterface {
  async up(q) { await q.query(`SELECT 1`); }
  async down(this: OtherName, runner: QueryRunner) { await runner.query(`SELECT 2`); }
}
""",
)
case(
    "Destructured",
    whole="""export class Destructured {
  async up({ connection, manager }) {
    await manager.query(`SELECT '${connection.options.type}'`);
    await manager.query(`SELECT $1`, [1]);
  }
  async down({ manager: { connection: { options: { type } } } }) { void type; }
}
""",
)
case(
    "ArrowFields",
    whole="""import { QueryRunner } from "typeorm";
export class ArrowFields {
  readonly name: string = "ArrowFields";
  up = async (queryRunner: QueryRunner): Promise<void> => { await queryRunner.query(`SELECT 1`); };
  down = (queryRunner: QueryRunner) => queryRunner.query(`SELECT 2`);
}
""",
)
case(
    "CommonJs",
    whole="""const { MigrationInterface, QueryRunner } = require("typeorm");

module.exports = class CommonJs {
    name = 'CommonJs'

    async up(queryRunner) {
        await queryRunner.query(`SELECT 1`);
    }

    async down(queryRunner) {
        await queryRunner.query(`SELECT 2`);
    }
}
""",
    suffix=".cjs",
)
case(
    "Compiled",
    whole="""\"use strict\";
var __importDefault = (this && this.__importDefault) || function (mod) {
    return (mod && mod.__esModule) ? mod : { "default": mod };
};
Object.defineProperty(exports, "__esModule", { value: true });
exports.Compiled = void 0;
const path_1 = __importDefault(require("path"));
const fs_1 = require("fs");
class Compiled {
    constructor() {
        this.name = 'Compiled';
    }
    async up(queryRunner) {
        await queryRunner.query((0, fs_1.readFileSync)(path_1.default.join(__dirname, "sql", "create.sql"), "utf8"));
    }
    async down(queryRunner) {
        await queryRunner.query(`SELECT 2`);
    }
}
exports.Compiled = Compiled;
""",
    suffix=".js",
)
case(
    "CompiledForOld",
    whole="""\"use strict\";
var __awaiter = (this && this.__awaiter) || function (thisArg, _arguments, P, generator) {
    function adopt(value) { return value instanceof P ? value : new P(function (resolve) { resolve(value); }); }
    return new (P || (P = Promise))(function (resolve, reject) {
        function fulfilled(value) { try { step(generator.next(value)); } catch (e) { reject(e); } }
        function rejected(value) { try { step(generator["throw"](value)); } catch (e) { reject(e); } }
        function step(result) { result.done ? resolve(result.value) : adopt(result.value).then(fulfilled, rejected); }
        step((generator = generator.apply(thisArg, _arguments || [])).next());
    });
};
Object.defineProperty(exports, "__esModule", { value: true });
class CompiledForOld {
    constructor() {
        this.table = 'users';
    }
    up(queryRunner) {
        return __awaiter(this, void 0, void 0, function* () {
            yield queryRunner.query(`SELECT 1`);
            yield queryRunner.query(`DROP TABLE "${this.table}"`);
            for (const x of ["a", "b"]) { yield queryRunner.query(x); }
        });
    }
    down(queryRunner) {
        return __awaiter(this, void 0, void 0, function* () { });
    }
}
exports.CompiledForOld = CompiledForOld;
""",
    suffix=".js",
)
case(
    "Modules",
    whole="""import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import { readFileSync } from "node:fs";
const here = dirname(fileURLToPath(import.meta.url));
export class Modules {
  async up(queryRunner) { await queryRunner.query(readFileSync(join(here, "sql/create.sql"), "utf8")); }
  async down(queryRunner) { await queryRunner.query(readFileSync(new URL("./sql/crlf.sql", import.meta.url), "utf-8")); }
}
""",
    suffix=".mjs",
)
case(
    "Exported",
    whole="""class Exported { async up(q) { await q.query("SELECT 1"); } async down() {} }
export { Exported };
""",
)
case(
    "Default",
    whole="""export default class Default { async up(q) { await q.query("SELECT 1"); } async down() {} }
""",
)
case(
    "Expression",
    whole="""export const Expression = class { async up(q) { await q.query("SELECT 1"); } async down() {} };
""",
)
case(
    "Promised",
    whole="""export class Promised {
  up(q) { return q.query("SELECT 1"); }
  down(q) { return Promise.resolve(); }
}
""",
)

# -- 2: constants, concatenation, parameters ---------------------------------------------------

case(
    "Concatenated",
    """    await queryRunner.query('CREATE TABLE "a" (' +
      '"id" integer, ' +
      `"n" integer` + "," + '"m" text)');
    await queryRunner.query("a" + 1 + 2.50 + true + null + undefined + -3 + [1, [2, null]] + 1e21);""",
    """    await queryRunner.query("" + (1 + 2) + 0.1 * 3 + 7 % 4 + 2 ** 10 + 1 / 3);""",
)
case(
    "Constants",
    """    const table = "users", column = `email`;
    let type = 'text';
    type += ' NOT NULL';
    var schema;
    schema = SCHEMA;
    await queryRunner.query(`ALTER TABLE "${schema}"."${table}" ADD "${column}" ${type}`);
    await queryRunner.query(`${PREFIX}`);""",
    """    await queryRunner.query(this.drop);
    await queryRunner.query(Constants.TEXT + Kind.B + Kind[1] + Other.Two + LIST[1] + DEEP.a.b[0]["c d"]);""",
    before="""const SCHEMA = 'shop' as const;
export const PREFIX = `pre_${SCHEMA}_` + "x";
enum Kind { A, B, C = 7, D }
export enum Other { One = "one", Two = 'two' }
const LIST: readonly string[] = ['x', "y"];
const DEEP = { a: { b: [{ "c d": 5 }] } } as const;
""",
    inside="""private readonly drop = `DROP TABLE ${SCHEMA}.users`;
static TEXT = "static " + SCHEMA;""",
)
case(
    "Interpolated",
    """    await queryRunner.query(`a ${1} ${1.50} ${-0} ${1e21} ${1e-7} ${123456789012345680000} ${true} ${null} ${undefined} ${[1, 2]} ${10n} ${0xff} ${1_000}`);
    await queryRunner.query(`outer ${`inner ${"most"} \\`x\\``} end`);
    await queryRunner.query(`${"a"}${"b"}`);""",
    """    await queryRunner.query(`\\
${'x'}\\
`);""",
)
case(
    "Joined",
    """    await queryRunner.query([
      'CREATE TABLE a (',
      '  id int',
      ')',
    ].join("\\n"));
    await queryRunner.query(`INSERT INTO a VALUES ${[1, 2, 3].map((n) => `(${n})`).join(", ")}`);
    await queryRunner.query([["a", "b"], "c", null, undefined, 1].join());""",
    """    await queryRunner.query("a".concat("b", `c`).toUpperCase().trim() + " X ".trim().toLowerCase());""",
)
case(
    "Raw",
    r"""    await queryRunner.query(String.raw`SELECT '\n \d+ ${"x"} \u0041 \`'`);
    await queryRunner.query(String.raw`SELECT E'\\.'`);""",
)
case(
    "Parameters",
    """    await queryRunner.query(`SELECT $1, $2, $3, $4, $5`, ["text", 1, 1.5, true, null]);
    await queryRunner.query(`SELECT $1`, [undefined]);
    await queryRunner.query(`SELECT $1, $2`, [{ a: 1, b: [1, "x", null], c: { d: false } }, [1, 2]]);
    await queryRunner.query(`SELECT $1, $2`, [["a\\"b", null, 'c\\\\d', true, 1.25, ["x", ["y"]]], []]);
    await queryRunner.query(`SELECT 1`, []);
    await queryRunner.query(`SELECT 1`, undefined);
    await queryRunner.query(`SELECT $1`, [-0]);""",
    """    const id = 7;
    const values = ["a", ...["b", 'c'], id];
    await queryRunner.query(`SELECT $1, $2, $3, $4`, values);
    await queryRunner.query("SELECT $1, $2, $3, $4, $5", [1e21, 1e-7, 0.1 + 0.2, 12345678901234567890, 2 ** 53]);
    await queryRunner.query("SELECT $1", [9007199254740993n]);
    await queryRunner.query("SELECT $1, $2", [NaN, [Infinity]]);
    await queryRunner.query("SELECT $1", [{ u: undefined, n: NaN, 2: "two", 1: "one", "q\\"": "\\u2028\\n" }]);
    await queryRunner.query("SELECT $1, $2", [JSON.stringify({ a: [1, { b: "c" }], d: undefined }), JSON.stringify([1, "2"], null, 2)]);
    await queryRunner.query("SELECT $1::int[]", [[[1, 2], [3, 4]]], true);""",
)
case(
    "Dates",
    """    await queryRunner.query(`SELECT $1, $2`, [new Date("2024-03-15T10:30:00.123Z"), new Date("2024-03-15")]);
    await queryRunner.query(`SELECT $1`, [[new Date("2024-03-15T10:30:00+02:00")]]);
    await queryRunner.query(`SELECT $1`, [{ at: new Date(1710460800000) }]);""",
    """    await queryRunner.query(`SELECT '${new Date("2024-03-15T00:00Z").toISOString()}'`);
    await queryRunner.query(`SELECT ${new Date(0).getTime()}`);""",
)
case(
    "Metadata",
    """    await queryRunner.query(`INSERT INTO "typeorm_metadata"("database", "schema", "table", "type", "name", "value") VALUES (DEFAULT, $1, DEFAULT, $2, $3, $4)`, ["public","VIEW","adults","SELECT * FROM \\"users\\" WHERE age > 17"]);""",
    """    await queryRunner.query(`DELETE FROM "typeorm_metadata" WHERE "type" = $1 AND "name" = $2 AND "schema" = $3`, ["VIEW","adults","public"]);""",
)
case(
    "Numbers",
    """    await queryRunner.query(`${Number("12")} ${parseInt("42px", 10)} ${parseFloat("1.5e3x")} ${Number("0x1f")} ${Number(" 7 ")} ${String(5)} ${Math.max(1, 9, 3)} ${Math.floor(2.7)}`);
    await queryRunner.query(`${100} ${1.0} ${0.000001} ${1e300} ${5e-324} ${1.7976931348623157e308} ${0b101} ${0o17} ${.5} ${5.}`);""",
)
case(
    "Texts",
    """    const t = "alpha,beta,gamma";
    await queryRunner.query(t.split(",").join(" | ") + t.length + t.indexOf("b") + t.slice(-5) + t.substring(6, 10) + t.replace(",", ";") + t.replaceAll(",", ";"));
    await queryRunner.query("x".repeat(3) + "7".padStart(3, "0") + "ab".padEnd(5, "12") + t.charAt(2) + t[3] + t.includes("beta") + t.startsWith("al") + t.endsWith("x"));""",
    """    await queryRunner.query(`${"é".length} ${"\U0001f600".length}`);""",
)

# -- 3: loops, own helpers, constant conditions ------------------------------------------------

case(
    "Loops",
    """    for (const table of TABLES) {
      await queryRunner.query(`ALTER TABLE "${table}" ADD x int`);
    }
    for (const [table, { type, size = 10 }] of Object.entries(COLUMNS)) {
      await queryRunner.query(`ALTER TABLE ${table} ADD y ${type}(${size})`);
    }
    for (let i = 0; i < 3; i++) await queryRunner.query(`SELECT ${i}`);
    for (let i = 3, j = 0; i > 0; i -= 2, ++j) { if (i === 1) continue; await queryRunner.query(`SELECT ${i} ${j}`); }
    for (const i in TABLES) { await queryRunner.query(`${i}: ${TABLES[i]}`); }
    for (const key in COLUMNS) { if (key === "b") break; await queryRunner.query(key); }""",
    """    let n = 3;
    while (n > 0) { await queryRunner.query(`SELECT ${n}`); n--; }
    do { await queryRunner.query("once"); } while (n > 0);
    for (const table of [...TABLES].reverse()) await queryRunner.query(`DROP TABLE ${table}`);
    for (const c of "ab") await queryRunner.query(c);
    for (const { a, b: [c] } of [{ a: 1, b: [2] }]) await queryRunner.query(`${a} ${c}`);""",
    before="""const TABLES = ["users", "orders"];
const COLUMNS: Record<string, { type: string; size?: number }> = { a: { type: "varchar" }, b: { type: "char", size: 3 } };
""",
)
case(
    "Callbacks",
    """    await Promise.all(TABLES.map((t) => queryRunner.query(`ANALYZE ${t}`)));
    await Promise.all(TABLES.map(async (t, i) => { await queryRunner.query(`ANALYZE ${t} ${i}`); }));
    await Promise.all([queryRunner.query("SELECT 1"), queryRunner.query("SELECT 2")]);""",
    """    TABLES.forEach((t) => { queryRunner.query(`VACUUM ${t}`); });
    TABLES.filter((t) => t !== "users").forEach(async function (t) { await queryRunner.query(t); });
    const sum = [1, 2, 3].reduce((a, b) => a + b, 10);
    await queryRunner.query(`${sum} ${TABLES.find((t) => t.startsWith("o"))} ${TABLES.some((t) => t === "x")} ${TABLES.every(Boolean)} ${TABLES.findIndex((t, i) => i === 1)} ${[[1], [2]].flat()} ${TABLES.flatMap((t) => [t, t])} ${[..."abc"].map((c) => c + c)} ${["b", "a"].sort()} ${Array.from({ length: 3 }, (_, i) => i * 2)}`);""",
    before='const TABLES = ["users", "orders"];\n',
)
case(
    "OwnMethods",
    """    await this.addColumn(queryRunner, "users", { name: "age", type: "int" });
    await this.addColumn(queryRunner, "users", { name: "old" }, false);
    await create(queryRunner, "a", "b", "c");
    await arrow(queryRunner)("x");
    await OwnMethods.helper(queryRunner);
    await queryRunner.query(this.text);
    await this.#secret(queryRunner);""",
    """    const run = (sql: string, ...more: unknown[]) => queryRunner.query(sql, more);
    await run("SELECT $1", 5);
    await run(quoted("x"));
    const inner = async () => { for (const x of [1, 2]) { await queryRunner.query(`in ${x}`); } };
    await inner();
    await inner();
    await countdown(queryRunner, 3);""",
    before="""async function create(q: QueryRunner, first: string, ...names: string[]) {
  for (const name of [first, ...names]) { await q.query(`CREATE TABLE ${name} ()`); }
}
const arrow = (q: QueryRunner) => async (name = "default") => { await q.query(name); };
function quoted(name: string): string { return `"${name}"`; }
async function countdown(q: QueryRunner, n: number): Promise<void> {
  if (n === 0) return;
  await q.query(`${n}`);
  await countdown(q, n - 1);
}
""",
    inside="""private async addColumn(q: QueryRunner, table: string, { name, type = "text" }: { name: string; type?: string }, nullable = true) {
  await q.query(`ALTER TABLE ${table} ADD ${name} ${type}${nullable ? "" : " NOT NULL"}`);
}
static async helper(q: QueryRunner) { await q.query("static"); }
get text() { return "from a getter"; }
async #secret(q: QueryRunner) { await q.query("secret"); }""",
)
case(
    "Conditions",
    """    if (true) { await queryRunner.query("a"); } else { await queryRunner.query("b"); }
    if (!FLAG) await queryRunner.query("c"); else if (NAME === "x") await queryRunner.query("d"); else await queryRunner.query("e");
    await queryRunner.query(FLAG ? "f" : "g");
    FLAG && (await queryRunner.query("h"));
    FLAG || (await queryRunner.query("i"));
    await queryRunner.query(MISSING ?? "j");
    switch (NAME) { case "w": await queryRunner.query("k"); case "x": await queryRunner.query("l"); case "y": await queryRunner.query("m"); break; default: await queryRunner.query("n"); }
    switch (3 as number) { case 1: break; default: await queryRunner.query("o"); }
    if (typeof MISSING === "undefined" && NAME.length == 1 && !(1 > 2) && "a" < "b") await queryRunner.query("p");
    if ("a" in { a: 1 } && Array.isArray([]) && null == undefined) { await queryRunner.query("q"); }""",
    """    if (FLAG) { return; }
    await queryRunner.query("never");""",
    before='const FLAG = true;\nconst NAME: string = "x";\nlet MISSING: string | undefined;\n',
)
case(
    "Logged",
    """    console.log("starting", process.env.NODE_ENV);
    await queryRunner.query("SELECT 1");
    console.info(`done ${new Date()}`);
    console.error(await queryRunner.query("SELECT 2"));
    const rows = await queryRunner.query("SELECT 3");
    console.log(rows.length, rows[0]?.id);""",
    """    const started = Date.now();
    await queryRunner.query("SELECT 4");
    console.log(`took ${Date.now() - started} ms`);""",
)
case(
    "TriedAndThrown",
    """    try {
      await queryRunner.query("SELECT 1");
    } catch (error) {
      console.error("failed", error);
      throw error;
    }""",
    """    throw new Error("cannot go " + `back: ${1 + 1}`);""",
)
case("Rejected", "", """    return Promise.reject(new Error("no way back"));""")
case(
    "Nested",
    """    const tables = { users: ["a", "b"], orders: ["c"] };
    for (const [table, columns] of Object.entries(tables)) {
      const list = columns.map((c, i) => `"${c}" /* ${i} */`).join(", ");
      for (const column of columns) {
        const sql = `CREATE INDEX ON ${table} (${column})`;
        await queryRunner.query(sql);
      }
      await queryRunner.query(`SELECT ${list} FROM ${table}`);
    }""",
    """    const made: string[] = [];
    for (let i = 0; i < 3; i++) { made.push(`t${i}`); }
    const functions = []; for (let i = 0; i < 3; i++) { functions.push(() => i); }
    await queryRunner.query(made.join() + functions.map((f) => f()).join());
    const copy = { ...{ a: 1, b: 2 }, b: 3, ["c" + 1]: 4 };
    const { a, ...others } = copy;
    await queryRunner.query(JSON.stringify(others) + a + Object.keys(copy) + Object.values(copy));
    let [x, , y = 5, ...z] = [1, 2, undefined, 3, 4];
    [x, y] = [y, x];
    await queryRunner.query(`${x} ${y} ${z}`);""",
)

case(
    "Inherited",
    whole="""abstract class Base {
  table = "base";
  abstract sql(): string;
  async up(q) { await q.query(this.sql()); await q.query(this.table); }
  async down(q) { await q.query("base down"); }
}
export class Inherited extends Base {
  table = "own";
  sql() { return `SELECT '${this.table}'`; }
  async down(q) { await super.down(q); await q.query("own down"); }
}
""",
)
case(
    "Hoisted",
    """    await later(queryRunner);
    { const x = 1; await queryRunner.query(`${x}`); }
    { const x = 2; await queryRunner.query(`${x}`); }
    var seen = 1; { var seen = 2; }
    await queryRunner.query(`${seen}`);
    async function later(q: QueryRunner) { await q.query("later"); }""",
)
case(
    "Counters",
    """    await queryRunner.query(`${next()} ${next()}`);
    const object: Record<string, number> = { n: 1 };
    object.n += 4; object["m"] = object.n++;
    await queryRunner.query(`${object.n} ${object.m} ${Object.entries(object).map(([k, v]) => `${k}=${v}`)}`);
    this.count = this.count + 1;
    await queryRunner.query(`${this.count}`);
    const list = [3, 1]; list[2] = 9; list.unshift(0); const last = list.pop();
    await queryRunner.query(`${list} ${last} ${list.indexOf(3)} ${list.includes(7)} ${list.slice(1)} ${list.concat([5], 6)}`);""",
    before="let counter = 0;\nfunction next() { return ++counter; }\n",
    inside="count = 1;",
)
case(
    "Enumerated",
    """    for (const status of Object.values(Status)) { await queryRunner.query(`ALTER TYPE s ADD VALUE '${status}'`); }
    const values = Object.values(Status).map((v) => `'${v}'`).join(",");
    await queryRunner.query(`CREATE TYPE s AS ENUM (${values})`);""",
    """    await queryRunner.query(`${Status.Open} ${Status["Closed"]} ${Level.High}`);""",
    before="""export enum Status { Open = "open", Closed = `closed` }
const enum Level { Low = 1, High = Low + 1 }
""",
)

# -- 4: the driver is postgres -----------------------------------------------------------------

case(
    "Driver",
    """    if (queryRunner.connection.options.type === "postgres") { await queryRunner.query("pg"); } else { await queryRunner.query("other"); }
    switch (queryRunner.connection.options.type) {
      case "sqlite": case "better-sqlite3": await this.sqlite(queryRunner); break;
      case "postgres": await this.postgres(queryRunner); break;
      case "mysql": throw new Error("no");
      default: throw new Error(`Unsupported ${queryRunner.connection.options.type}`);
    }
    if (queryRunner.connection.driver.options.type != "postgres") return;
    if (["postgres", "cockroachdb"].includes(queryRunner.connection.options.type)) await queryRunner.query("in");
    const { type } = queryRunner.connection.options;
    const isPostgres = type === 'postgres';
    await queryRunner.query(`ALTER TABLE a ADD b ${isPostgres ? "jsonb" : "text"}`);""",
    """    const driver = queryRunner.connection.driver;
    await queryRunner.query(`SELECT ${driver.options.type} ${driver.escape("users")}`);
    await queryRunner.manager.query("through the manager", [1]);
    await queryRunner.manager.connection.options.type;""",
    inside="""private async sqlite(q: QueryRunner) { await q.query(`PRAGMA x`); }
private async postgres(q: QueryRunner) { await q.query("postgres only"); }""",
)

# -- 5: SQL files ------------------------------------------------------------------------------

case(
    "SqlFiles",
    """    await queryRunner.query(readFileSync(join(__dirname, "sql", "create.sql"), "utf8"));
    await queryRunner.query(fs.readFileSync(path.resolve(__dirname, "./sql/crlf.sql"), { encoding: "utf-8" }));
    await queryRunner.query(fs.readFileSync(path.join(__dirname, "../migrations/sql/create.sql")).toString());
    await queryRunner.query(readFileSync(`${__dirname}/sql/bom.sql`, 'utf-8'));
    await queryRunner.query(load("create.sql"));
    for (const one of load("create.sql").split(";").map((s) => s.trim()).filter((s) => s)) await queryRunner.query(one);""",
    """    const file = path.join(path.dirname(__filename), "sql", "create" + path.extname("x.sql"));
    await queryRunner.query(await fs.promises.readFile(file, "utf8"));
    await queryRunner.query(readFileSync(resolve(__dirname, "sql/broken.sql")).toString("utf8"));
    await queryRunner.query(path.basename(file) + path.basename(file, ".sql") + path.normalize("a//b/../c/"));""",
    before="""const load = (name: string) => readFileSync(join(__dirname, "sql", name)).toString();
""",
)
case(
    "Json",
    """    for (const row of seed) { await queryRunner.query("INSERT INTO a VALUES ($1, $2)", [row.name, row.n]); }
    for (const row of JSON.parse(readFileSync(join(__dirname, "sql/seed.json"), "utf8"))) { await queryRunner.query(row.name); }""",
    before='const seed = require("./sql/seed.json");\n',
)


# -- more ways to say the same ------------------------------------------------------------------

case(
    "Imports",
    """    await queryRunner.query(r(j(__dirname, "sql/create.sql"), "utf8"));
    await queryRunner.query(q(p.join(__dirname, `sql/create.sql`), "utf8"));
    await queryRunner.query(whole.readFileSync(required.posix.join(__dirname, "sql", "create.sql"), "utf8"));""",
    """    await queryRunner.query(readFileSync(path.resolve(__dirname, "..", "migrations", "sql/create.sql"), "utf8"));""",
    before="""import whole, { readFileSync as r } from "node:fs";
import required = require("path");
const { join: j } = required, p = required;
const q = require("fs").readFileSync;
""",
)
case(
    "ObjectMethods",
    """    const steps = {
      table: "users",
      async create(q: QueryRunner) { await q.query(`CREATE TABLE ${this.table} ()`); },
      drop: async (q: QueryRunner) => q.query("DROP TABLE users"),
    };
    await steps.create(queryRunner);
    await steps.drop(queryRunner);
    await steps["create"](queryRunner);""",
    """    function named(this: any, suffix: string) { return `${this.name}_${suffix}`; }
    await queryRunner.query(named.call({ name: "a" }, "x") + named.apply({ name: "b" }, ["y"]) + named.bind({ name: "c" })("z"));""",
)
case(
    "AtOnce",
    """    await (async () => { await queryRunner.query("in a function called at once"); })();
    await (async function (q) { await q.query("another"); })(queryRunner);
    const sql = (() => { if (1 > 2) { return "no"; } return "yes"; })();
    await queryRunner.query(sql);""",
    """    const make = (name: string) => ({ name, sql: `SELECT '${name}'` });
    const { sql, name: other = "z" } = make("x");
    await queryRunner.query(sql + other);""",
)
case(
    "Generic",
    """    const same = <T,>(x: T): T => x;
    await queryRunner.query(same<string>("a") + same(2));
    await run<number>(queryRunner, 1);""",
    """    const list = new_list<string>("a", "b");
    await queryRunner.query(`${list}`);""",
    before="""async function run<T extends number>(q: QueryRunner, x: T): Promise<void>;
async function run(q: QueryRunner, x: any) { await q.query(`${x as number}`); }
function new_list<T>(...items: T[]): T[] { return items; }
type Unused<T> = { [K in keyof T]?: T[K] };
interface Nothing { a: string; b(): void }
declare const elsewhere: string;
""",
)
case(
    "Assigned",
    """    let a, b = 1, c: string | undefined;
    a = c = "x";
    b += 2; b *= 3; b -= 1; b **= 2; b %= 10;
    c ??= "never"; c ||= "never"; c &&= "then";
    await queryRunner.query(`${a} ${b} ${c}`);
    let i = 0; const seen = [i++, ++i, i--, --i, (i, 5)];
    await queryRunner.query(`${seen} ${typeof a} ${typeof b} ${typeof undefined} ${typeof null} ${void 0} ${!a} ${!!b} ${+"3" + 1} ${-b}`);""",
    """    const { a: { b = 2, c: [d, e = "e"] = ["d"] } = { b: 5 } as any, ...rest } = { x: 1, y: 2 } as any;
    await queryRunner.query(`${b} ${d} ${e} ${JSON.stringify(rest)}`);""",
)
case(
    "Compared",
    """    await queryRunner.query([1 == 1, "1" == (1 as any), null == (0 as any), undefined == null, "a" !== "b", NaN === NaN, [] === ([] as any), "b" > "a", 2 >= 10, "2" >= "10", 1 <= 1].join());
    await queryRunner.query(`${0 || "zero"} ${"" ?? "kept"} ${null ?? "given"} ${"a" && "b"} ${false || null} ${0 && 1}`);
    await queryRunner.query(1 > 2 ? "a" : 2 > 3 ? "b" : "c");""",
)
case(
    "Keys",
    """    const o: any = { b: 1, 2: "two", a: 3, "1": "one", "x-y": 4, ["z" + 1]: 5, 1.5: 6 };
    await queryRunner.query(Object.keys(o).join() + Object.entries(o).join(";") + JSON.stringify(o));
    for (const k in o) await queryRunner.query(k);
    await queryRunner.query(`${o["x-y"]} ${o[2]} ${o.missing} ${o.z1} ${"a" in o} ${o.hasOwnProperty("b")}`);
    await queryRunner.query(JSON.stringify(Object.assign({}, o, { b: 9 })) + JSON.stringify(Object.fromEntries([["k", 1]])) + Object.freeze(["f"]));""",
)
case(
    "Stringified",
    r"""    await queryRunner.query("SELECT $1", [JSON.stringify({ text: "a\"b\\c\n\t\u0001é\u2028😀/", list: [], object: {}, n: [1.50, -0, 1e21, 1e-7] })]);
    await queryRunner.query("SELECT $1", [JSON.stringify({ a: [1, { b: [] }], c: {} }, null, "--")]);
    await queryRunner.query("SELECT $1", [JSON.stringify("x") + JSON.stringify(null) + JSON.stringify([undefined, null])]);
    await queryRunner.query(`SELECT '${JSON.stringify(JSON.parse('{"a":[1,2.5,"x",null,true]}'))}'`);""",
)
case(
    "Modifiers",
    whole="""import { MigrationInterface, QueryRunner } from "typeorm";
/** What it does. */
export class Modifiers implements MigrationInterface {
  public readonly name = `Modifiers` as const;
  declare readonly unused: string;
  [key: string]: unknown;
  protected static readonly TABLE = 'users';
  private readonly columns: ReadonlyArray<string> = ["a", "b"];
  transaction?: boolean = undefined;
  public constructor() { this.extra = "made"; }
  private extra: string;
  public up(queryRunner: QueryRunner): Promise<void>;
  public async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`${Modifiers.TABLE} ${this.columns} ${this.extra}`);
  }
  public async down(queryRunner: QueryRunner): Promise<any> { await queryRunner.query(this.constructor.name); }
}
""",
)
case("ModuleTs", "    await queryRunner.query(`SELECT 1`);", suffix=".mts", before="export {};")
case(
    "CommonTs",
    whole="""import { QueryRunner } from "typeorm";
class CommonTs { async up(q: QueryRunner) { await q.query(`SELECT ${__filename.length > 0}`); } async down(q: QueryRunner) {} }
export = CommonTs;
""",
    suffix=".cts",
)
case(
    "NamedExports",
    whole="""class NamedExports { async up(q) { await q.query("SELECT 1"); } async down(q) {} }
module.exports = { NamedExports };
""",
    suffix=".cjs",
)
case(
    "AssignedExport",
    whole="""'use strict'
exports.AssignedExport = class AssignedExport { async up(q) { await q.query("SELECT 1"); } async down(q) {} };
""",
    suffix=".js",
)
case(
    "AsDefault",
    whole="""class AsDefault { async up(q: any) { await q.query("SELECT 1"); } async down(q: any) {} }
export { AsDefault as default };
""",
)
case(
    "Jumps",
    """    for (const a of [1, 2, 3]) {
      for (const b of [1, 2, 3]) { if (b === 2) break; if (a === 2) continue; await queryRunner.query(`${a}${b}`); }
      if (a === 3) return;
      await queryRunner.query(`after ${a}`);
    }
    await queryRunner.query("never");""",
    """    const first = (list: number[]) => { for (const x of list) { if (x > 1) return x; } return 0; };
    await queryRunner.query(`${first([1, 2, 3])}`);
    while (true) { await queryRunner.query("once"); break; }
    for (;;) { await queryRunner.query("twice"); if (first([5]) === 5) { break; } }""",
)
case(
    "Views",
    r"""    await queryRunner.query(`CREATE MATERIALIZED VIEW "v" AS
        SELECT u.id, -- the key
               '\\d+' AS pattern, E'\\n' AS line, $tag$ it's $tag$ AS text
          FROM "users" u
         WHERE u.note ~ '^[a-z]{1,3}$' AND u.price > 1.5::numeric`);
    await queryRunner.query(`INSERT INTO t SELECT '{"a": "\\u00e9"}'::jsonb`);""",
    """	    await queryRunner.query("\\t\\tDROP VIEW \\"v\\";	");""",
)
case(
    "Chunks",
    """    const rows = Array.from({ length: 25 }, (_, i) => ({ id: i, name: `n${i}` }));
    for (let i = 0; i < rows.length; i += 10) {
      const chunk = rows.slice(i, i + 10);
      const places = chunk.map((_, n) => `($${n * 2 + 1}, $${n * 2 + 2})`).join(", ");
      await queryRunner.query(`INSERT INTO t VALUES ${places}`, chunk.flatMap((r) => [r.id, r.name]));
    }""",
    """    await queryRunner.query(`DELETE FROM t WHERE id = ANY($1)`, [[1, 2, 3]]);""",
)
case(
    "Waited",
    """    const pending = queryRunner.query("first");
    await pending;
    const [one, two] = await Promise.all([queryRunner.query("second"), queryRunner.query("third")]);
    await queryRunner.connect();
    const all = ["a", "b"].map((x) => queryRunner.query(x));
    await Promise.all(all);
    await (await queryRunner.query("fourth"), queryRunner.query("fifth"));
    return;""",
    """    await Promise.all([this.one(queryRunner), this.one(queryRunner)]);
    return this.one(queryRunner);""",
    inside="""private async one(q: QueryRunner) { return q.query("one"); }""",
)
