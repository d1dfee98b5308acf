"""what the text does not tell is refused: with its cause, the expression and its line"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.migrations.typescript import Method, methods

HEAD = """import { MigrationInterface, QueryRunner, Table } from "typeorm";
import { SCHEMA, load } from "./app";
import { randomUUID } from "crypto";
import { join } from "path";
import { readFileSync } from "fs";
"""
LINE = 9  # of what a test gives


def up(text: str, *, before: str = "", inside: str = "") -> Method:
    """The method `up` with this text."""
    whole = (
        f"{HEAD}{before}\nexport class A1710460800000 {{ {inside}\n"
        f"  async up(queryRunner: QueryRunner) {{\n{text}\n  }}\n  async down() {{}}\n}}\n"
    )
    return methods(Path("/nowhere/a.ts"), text=whole).up


QUERY = "await queryRunner.query"
REFUSED = {
    "environment": {
        QUERY + "(`SET search_path TO ${process.env.DB_SCHEMA}`)": "`process.env.DB_SCHEMA`"
        " is known only when it runs, and it reaches the SQL",
        QUERY + '(process.env.DB || "a")': "`process.env.DB`",
        "if (process.env.DB) " + QUERY + '("a")': "it decides what is sent",
        "process.env.DB && " + QUERY + '("a")': "`process.env.DB`",
        'switch (process.env.DB) { case "a": break; }': "`process.env.DB`",
        "const { DB } = process.env; " + QUERY + "(DB)": "`DB`",
        QUERY + "(`${Date.now()}`)": "the moment at which it runs",
        QUERY + "(`${new Date().toISOString()}`)": "the moment at which it runs",
        QUERY + '("x", [new Date()])': "it is a parameter of the SQL",
        QUERY + '("x", [new Date("2024-01-01T10:00:00")])': "time zone",
        QUERY + "(`${Math.random()}`)": "is random",
        QUERY + '("x", [randomUUID()])': "is random",
        QUERY + '("x", [crypto.randomUUID()])': "is random",
        QUERY + '(readFileSync("a.sql", "utf8"))': "__dirname",
        QUERY + '(readFileSync(join(process.cwd(), "a.sql"), "utf8"))': "`process.cwd()`",
        QUERY + "(`${queryRunner.connection.options.schema}`)": "option of the data source",
    },
    "code": {
        QUERY + "(`SELECT ${SCHEMA}`)": "`SCHEMA` comes from './app', and it reaches the SQL",
        QUERY + '(load("x"))': "`load(\"x\")` runs code that comes from './app'",
        "load(queryRunner)": "./app",
        "await load()": "./app",
        "const { a = load() } = {};": "./app",
        'await import("./app")': "elsewhere",
        "console.log(load())": "./app",
        "for (const x of SCHEMA) {}": "`SCHEMA`",
        "if (SCHEMA) { console.log(1) }": "`SCHEMA`",
        'await (SCHEMA ? queryRunner.query("a") : queryRunner.query("b"))': "`SCHEMA`",
        'await queryRunner[SCHEMA]("x")': "it decides what is called",
        "new load(queryRunner)": "./app",
    },
    "rows": {
        "const r = " + QUERY + '("a"); for (const x of r) ' + QUERY + '("b")': "how often a loop",
        "const r = " + QUERY + '("a"); ' + QUERY + '("x", [r[0].id])': "`r[0].id` is known only"
        " from rows that it reads, and it is a parameter of the SQL",
        "const [{ n }] = " + QUERY + '("a"); ' + QUERY + "(`${n}`)": "`n`",
        "const r = " + QUERY + '("a"); await Promise.all(r.map((x) => queryRunner.query(x)))': "`r",
        "while ((" + QUERY + '("x")).length) {}': "it decides what is sent",
        "const r = " + QUERY + '("a"); if (!r) return;': "`!r`",
        "const r = " + QUERY + '("a"); await load(r.length && ' + QUERY + '("b"))': "`r.length`",
    },
    "schema": {
        'await queryRunner.createTable(new Table({ name: "a" }))': "`queryRunner.createTable`",
        'await queryRunner.addColumn("users", { name: "a" })': "`queryRunner.addColumn`",
        'if (await queryRunner.hasTable("a")) {}': "looks at the schema",
        'const t = await queryRunner.getTable("a")': "looks at the schema",
        "await queryRunner.startTransaction()": "a transaction of its own",
        "await queryRunner.release()": "`queryRunner.release`",
    },
    "manager": {
        "await queryRunner.manager.save({})": "the entity manager",
        "await queryRunner.manager.getRepository(SCHEMA).find()": "the entity manager",
        'await queryRunner.manager.createQueryBuilder().update("x")': "the entity manager",
        'await queryRunner.connection.query("x")': "another connection",
        "await queryRunner.connection.synchronize()": "the data source",
        "const { manager } = queryRunner; await manager.find(SCHEMA)": "the entity manager",
    },
    "swallowed": {
        "try { " + QUERY + '("x") } catch (e) { console.log(e) }': "goes on after a failure",
        "try { " + QUERY + '("x") } catch {}': "goes on after a failure",
        "try { " + QUERY + '("x") } finally { }': "finally",
        "try { a() } catch (e) { " + QUERY + '("x"); throw e; }': "goes on after a failure",
        'await queryRunner.query("x").catch(() => {})': "catch",
        'await Promise.allSettled([queryRunner.query("x")])': "goes on after a failure",
    },
    "value": {
        QUERY + "(sql`SELECT 1`)": "tagged template `sql`",
        "await queryRunner.sql`SELECT 1`": "tagged template",
        QUERY + "(unknown)": "`unknown` is not declared in this file",
        QUERY + '("a".replace(/a/g, "b"))': "regular expression",
        QUERY + '("x", [() => 1])': "a parameter is neither",
        QUERY + '("x", [Buffer.from("a")])': "bytes",
        QUERY + '("x", { a: 1 })': "not an array",
        QUERY + "(1)": "sends no string",
        QUERY + "()": "sends no string",
        QUERY + "(`\\07`)": "octal",
        QUERY + '("\\07")': "octal",
        QUERY + '("\\ud800")': "cannot be sent",
        QUERY + '("\\0")': "cannot be sent",
        QUERY + '("a", ["\\0"])': "cannot be sent",
        QUERY + '(readFileSync(join(__dirname, "missing.sql"), "utf8"))': "missing.sql",
        QUERY + '("x").then(() => queryRunner.query("y"))': ".then",
        "for (let i = 0; i < 1e9; i++) {}": "goes round",
        "while (true) {}": "goes round",
        "const f = () => f(); f()": "nested too deeply",
        'let s = "a"; for (let i = 0; i < 60; i++) s += s;': "grows too big",
        QUERY + '("a".repeat(1e9))': "grows too big",
        "const a = [1]; for (let i = 0; i < 60; i++) a.push(...a)": "makes too much",
        "const a = { __proto__: {} }": "`__proto__` is not understood",
        'const a = {}; a["__proto__"] = 1': "`__proto__` is not understood",
        'Object.assign({}, { ["__proto__"]: 1 })': "`__proto__` is not understood",
        "outer: for (const a of [1]) { continue outer; }": "`outer:",
        'const { query } = queryRunner; await query("x")': "without its query runner",
        "await Promise.all([1].map(queryRunner.query))": "without its query runner",
        'eval("x")': "`eval`",
        "this.foo(queryRunner)": "calls no function",
        'await new Promise((r) => setTimeout(r, 1)); await queryRunner.query("x")': "new Promise",
        QUERY + '("a"); throw new Error("no")': "throws after",
        "const f = async () => { " + QUERY + '("a"); ' + QUERY + '("b"); }; f();': "not awaited",
        '["a"].forEach(async (x) => { ' + QUERY + "(x); " + QUERY + "(x); })": "not awaited",
        'await Promise.all(["a", "b"].map(async (x) => { ' + QUERY + "(x); " + QUERY + "(x); }))":
            "at the same time",
        "const c = 1; c = 2": "`c`",
        "const a = [console.x]; if (a == 'x') " + QUERY + "('a')": "it decides what is sent",
        "const a = 1; const a = 2;": "declared twice",
        "{ const a = a + 1; }": "before it is declared",
        'const f = () => a; const b = f(); const a = "x";': "before it is declared",
        "const a = [1]; for (const x of a) { a.push(x); " + QUERY + "(`${a}`) }": "makes too much",
        'for (const x of "ab") for (let i = 0; i < 15000; i++) ' + QUERY + '("a")': "goes round",
        QUERY + "(`${() => 1}`)": "cannot be told",
        QUERY + "([,1].join())": "holes",
        "for await (const x of []) {}": "for await",
        "namespace N { export const a = 1 }": "namespace",
        "function* g() {} g()": "generator",
        QUERY + "(`${[2, 1].sort((a, b) => a - b)}`)": "not understood",
        "label: { break label; }": "label",
        "delete process.env.X": "delete",
        QUERY + "(`${new Date(0)}`)": "cannot be told",
        QUERY + "(null.x)": "no value",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("cause", "text", "said"),
    [(cause, text, said) for cause, texts in REFUSED.items() for text, said in texts.items()],
)
def test_what_cannot_be_told_is_refused(cause: str, text: str, said: str) -> None:
    unread = up(text).unread
    assert unread is not None
    assert (unread.cause, unread.line) == (cause, LINE)
    assert said in unread.reason


def test_a_value_that_is_not_known_does_no_harm_where_it_reaches_nothing() -> None:
    method = up(
        """const started = Date.now(), schema = process.env.DB_SCHEMA ?? "public";
    const rows = await queryRunner.query("SELECT 1");
    console.log(`${rows.length} rows for ${schema} in ${Date.now() - started} ms`, SCHEMA);
    this.logger.warn("done", rows);"""
    )
    assert method.unread is None
    assert [query.sql for query in method.queries] == ["SELECT 1"]


def test_what_was_sent_before_the_refusal_is_kept() -> None:
    method = up('await queryRunner.query("a");\nawait queryRunner.query(SCHEMA);')
    assert [query.sql for query in method.queries] == ["a"]
    assert method.unread is not None
    assert method.unread.line == LINE + 1


def test_an_own_method_with_something_unknown_is_refused_at_its_line() -> None:
    method = up("await this.go(queryRunner)", inside="async go(q) { await q.query(SCHEMA) }")
    assert method.unread is not None
    assert (method.unread.cause, method.unread.line) == ("code", LINE - 2)


@pytest.mark.parametrize(
    "before",
    [
        "const T = ['a']; register(T);",
        "const T = ['a']; load(T);",
        "let T = ['a']; if (process.env.X) { T = ['b']; }",
        "let T = process.env.X ? ['a'] : ['b'];",
        "const T = ['a']; for (const x of load()) T.push(x);",
        "const S = ['a'], T = S; load(S);",
        "const T = load();",
        "declare const T: string[];",
        "import T from './tables';",
        "import { T } from 'tables';",
        "const { T } = require('./tables');",
        "export const T = [...SCHEMA];",
    ],
)
def test_a_constant_that_other_code_may_change_is_not_known(before: str) -> None:
    method = up("for (const t of T) await queryRunner.query(t);", before=before)
    assert method.unread is not None
    assert method.queries == ()


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("@Injectable() up2() {}", ""),
        ("constructor() { load(this); }", "constructor"),
        ("static { load(this); }", "static block"),
        ("[SCHEMA]() {}", "SCHEMA"),
        ("constructor(private a = load()) {}", "constructor"),
    ],
)
def test_a_class_that_something_else_may_change_is_refused(inside: str, said: str) -> None:
    method = up('await queryRunner.query("a")', inside=inside)
    if said:
        assert method.unread is not None
        assert said in method.unread.reason
    else:
        assert method.unread is None


@pytest.mark.parametrize(
    "text",
    [
        "@Injected() export class A1 { async up(q) { await q.query('a') } }",
        "export @Injected() class A1 { async up(q) { await q.query('a') } }",
        "export class A1 { @Traced() async up(q) { await q.query('a') } }",
        "export class A1 { async *up(q) { await q.query('a') } }",
        "export class A1 { up = traced(async (q) => { await q.query('a') }) }",
        "export class A1 { async up(q) { await q.query('a') } }\nA1.prototype.up = other;",
        "export class A1 { async up(q) { await q.query('a') } }\nwrap(A1);",
        "export class A1 extends Base { async up(q) { await q.query(this.table) } }",
        "export class A1 { up = 5 }",
        "export class A1 { transaction = process.env.T === '1'; async up(q) { q.query('a') } }",
    ],
)
def test_a_method_that_may_be_another_one_is_refused(text: str) -> None:
    assert methods(Path("a.ts"), text=text).up.unread is not None
