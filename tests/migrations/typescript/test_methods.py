"""what a method sends, where it stands, and how much had to be understood"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.migrations.typescript import Method, methods, sent

QUERY = "await queryRunner.query"


def up(body: str, *, before: str = "", inside: str = "", path: str = "/nowhere/a.ts") -> Method:
    text = f"{before}export class A1 {{ {inside} async up(queryRunner) {{\n{body}\n}} }}"
    return methods(Path(path), text=text).up


def test_every_call_has_the_line_where_its_sql_begins_and_its_own() -> None:
    method = up(
        """const sql = `first
     text`;
  await queryRunner.query(
    // why
    `second`,
    [1],
  );
  await queryRunner.query(sql);
  await queryRunner.query("a" +
    "b");
  for (const one of ["x",
                     "y"]) await queryRunner.query(one);
  await queryRunner.query(`
    DROP ${TABLE}`);
  await queryRunner.query(`${sql} more`);
  await queryRunner.query(LATER.trim());""",
        before="const TABLE = 't', LATER = `\n\n  SELECT 1`; ",
    )
    assert method.unread is None
    # the class begins on line 3, and the body on the line after that
    assert [(query.line - 3, query.called - 3) for query in method.queries] == [
        (5, 3),
        (1, 8),
        (9, 9),
        (11, 12),
        (12, 12),
        (13, 13),
        (1, 15),
        (0, 16),
    ]
    assert method.line == 3


@pytest.mark.parametrize(
    ("rung", "body"),
    [
        (1, QUERY + "(`a`)"),
        (1, QUERY + '("a"); console.log("b"); return;'),
        (1, "return queryRunner.query('a')"),
        (2, QUERY + '("a" + "b")'),
        (2, QUERY + '("a", [1])'),
        (2, 'const t = "a"; ' + QUERY + "(`${t}`)"),
        (2, QUERY + '(["a", "b"].join(" "))'),
        (3, 'for (const t of ["a"]) ' + QUERY + "(t)"),
        (3, 'if (true) { await queryRunner.query("a") }'),
        (3, 'await Promise.all([queryRunner.query("a")])'),
        (3, "const go = () => queryRunner.query('a'); await go()"),
        (3, 'await Promise.all(["a"].map((t) => queryRunner.query(t)))'),
        (4, 'if (queryRunner.connection.options.type === "postgres") ' + QUERY + "('a')"),
        (5, QUERY + "(require('fs').readFileSync(__dirname + '/x.sql', 'utf8'))"),
    ],
)
def test_the_rung_tells_how_much_had_to_be_understood(rung: int, body: str, tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_text("a")
    method = up(body, path=str(tmp_path / "a.ts"))
    assert (method.unread, method.rung, len(method.queries)) == (None, rung, 1)


def test_a_file_of_sql_is_the_place_of_its_statements(tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_text("a;\n\nb;\n")
    method = up(
        QUERY + "(readFileSync(join(__dirname, 'x.sql'), 'utf8'));\n"
        "for (const s of load().split(';').map((s) => s.trim()).filter(Boolean)) "
        "await queryRunner.query(s)",
        before="const { readFileSync } = require('fs'); const { join } = require('path');"
        "const load = () => readFileSync(join(__dirname, 'x.sql')).toString(); ",
        path=str(tmp_path / "a.ts"),
    )
    file = str(tmp_path / "x.sql")
    assert [(query.sql, query.file, query.line) for query in method.queries] == [
        ("a;\n\nb;\n", file, 1),
        ("a", file, 1),
        ("b", file, 3),
    ]
    assert [query.called for query in method.queries] == [2, 3, 3]


def test_a_helper_that_the_project_names_gives_the_text_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "sql" / "v1").mkdir(parents=True)
    (tmp_path / "sql" / "v1" / "a.sql").write_bytes(b"SELECT 1\r\n")
    text = """import { getSql, Files } from "../helper";
export class A1 {
  async up(q) { await q.query(getSql("a.sql", "v1")); await q.query(await Files.text("a")); }
  async down(q) { await q.query(getSql("b.sql", "v1")); }
}"""
    helpers = {"getSql": "sql/{1}/{0}", "text": "sql/v1/{0}.sql"}
    path = tmp_path / "src" / "a.ts"
    read = methods(path, text=text, helpers=helpers, root=tmp_path)
    assert [query.sql for query in read.up.queries] == ["SELECT 1\r\n"] * 2
    assert read.up.rung == 5
    assert read.down is not None
    assert read.down.unread is not None
    assert "sql/v1/b.sql" in read.down.unread.reason
    assert methods(path, text=text).up.unread is not None


def test_what_is_not_awaited_is_told() -> None:
    method = up(
        """queryRunner.query("a");
await queryRunner.query("b");
const c = queryRunner.query("c");
await c;
["d"].forEach((x) => { queryRunner.query(x); });
["e"].forEach(async (x) => { await queryRunner.query(x); });
await Promise.all([queryRunner.query("f")]);
void go();
await go();
return queryRunner.query("h");""",
        before='let g; const go0 = 1; ',
        inside="",
    )  # fmt: skip
    assert method.unread is not None  # `go` is not there
    method = up(
        """queryRunner.query("a");
await queryRunner.query("b");
const c = queryRunner.query("c");
await c;
["d"].forEach((x) => { queryRunner.query(x); });
["e"].forEach(async (x) => { await queryRunner.query(x); });
await Promise.all([queryRunner.query("f")]);
void this.go(queryRunner);
await this.go(queryRunner);
return queryRunner.query("h");""",
        inside='async go(q) { await q.query("g") }',
    )
    told = "".join(q.sql if q.awaited else q.sql.upper() for q in method.queries)
    assert told == "AbcDEfGgh"


@pytest.mark.parametrize(
    ("text", "asynchronous", "returns"),
    [
        ("async up(q) { await q.query('a') }", True, False),
        ("async up(q) { return q.query('a') }", True, True),
        ("up(q) { return q.query('a') }", False, True),
        ("up(q) { q.query('a') }", False, False),
        ("up = (q) => q.query('a')", False, True),
        ("up = async (q) => { await q.query('a') }", True, False),
        ("up(q) { return Promise.all([q.query('a')]) }", False, True),
    ],
)
def test_a_method_says_whether_it_gives_a_promise(
    text: str, asynchronous: bool, returns: bool
) -> None:
    method = methods(Path("a.ts"), text=f"export class A1 {{ {text} }}").up
    assert len(method.queries) == 1
    if asynchronous:
        assert method.asynchronous
    else:
        assert (method.asynchronous, method.returns) == (False, returns)


@pytest.mark.parametrize(
    ("body", "throws"),
    [
        ('throw new Error("no way back")', "no way back"),
        ("throw new Error(`no ${1 + 1}`)", "no 2"),
        ("console.log('x'); if (true) { throw new TypeError('a' + 'b') }", "ab"),
        ("throw new Error()", "Error"),
        ("throw new NotImplemented()", "NotImplemented"),
        ("throw Error('x')", "x"),
        ("throw 'text'", "text"),
        ("return Promise.reject(new Error('x'))", "x"),
        ("throw new Error(imported.text)", "imported.text"),
    ],
)
def test_a_method_that_only_throws_says_what(body: str, throws: str) -> None:
    method = up(body, before="import { imported } from './x'; ")
    assert (method.unread, method.queries, method.throws) == (None, (), throws)
    assert not method.empty


def test_a_method_that_does_nothing_is_empty() -> None:
    assert up("// nothing").empty
    assert up("console.log('nothing'); return;").empty
    assert up("return Promise.resolve();").empty


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (True, "true"),
        (1, "1"),
        (1.5, "1.5"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        ("x", "x"),
        ([1, None, 'a"b\\', [True, []]], '{"1",NULL,"a\\"b\\\\",{"true",{}}}'),
        ([{"a": [1]}], '{"{\\"a\\":[1]}"}'),
        ({"a": "é\u2028\n", "b": None}, '{"a":"é\u2028\\n","b":null}'),
    ],
)
def test_parameters_become_text_as_the_driver_makes_it(value: object, text: str | None) -> None:
    assert sent(value) == text


def test_up_changes_nothing_for_down() -> None:
    read = methods(
        Path("a.ts"),
        text="""const list = ["a"];
export class A1 {
  async up(q) { list.push("b"); await q.query(list.join()) }
  async down(q) { await q.query(list.join()) }
}""",
    )
    assert read.up.queries[0].sql == "a,b"
    assert read.down is not None
    assert read.down.queries[0].sql == "a"
