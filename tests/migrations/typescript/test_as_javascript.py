"""what JavaScript does in its own way is read that way, or refused"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.migrations.typescript import Method, methods, sent

REFUSED = "(refused)"
A1 = "export class A1 { async up(q) { "


def read(text: str, path: str = "/nowhere/a.ts") -> Method:
    return methods(Path(path), text=text).up


def told(method: Method) -> list[str] | str:
    """The statements that were read, each with the texts of its parameters."""
    if method.unread is not None:
        return REFUSED
    if method.throws:
        return [f"throws {method.throws}"]
    return [
        " ".join([query.sql, *(str(sent(one)) for one in query.parameters or ())])
        for query in method.queries
    ]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        # numbers
        ("10 ** 3", "1000"),
        ("10 ** -5", REFUSED),
        ('parseInt("10", "16")', "16"),
        ('parseInt("11", true)', REFUSED),
        ('parseInt("9".repeat(400))', "Infinity"),
        ('parseFloat("1\u0663")', "1"),
        ('"\u019b".toUpperCase()', REFUSED),
        ("1 < 2 < 3", REFUSED),
        ("-2 ** 2", REFUSED),
        ("1 || 2 ?? 3", REFUSED),
        ("new Date(0) + 1", REFUSED),
        ("JSON.parse('1' + '0'.repeat(400))", "Infinity"),
        # strings
        ('"a".padStart(3, undefined)', "  a"),
        ('"a".padStart(4, "\U0001f600")', REFUSED),
        ('"\U0001f600".includes("\\ud83d")', REFUSED),
        ('"aundefinedb".split(undefined)', "aundefinedb"),
        ('JSON.stringify("\\ud800").length', REFUSED),
        ("JSON.stringify([1], null, NaN)", "[1]"),
        ("JSON.parse('[1]', (k, v) => 2)", REFUSED),
        ('new Date("0099-01-01").toISOString()', "0099-01-01T00:00:00.000Z"),
        ('new Date("9999-12-31T23:59:59-01:00").toISOString()', REFUSED),
        # arrays
        ("[1, 2][NaN]", "undefined"),
        ("[1, 2].entries()", REFUSED),
        ("[1, 2].keys().length", REFUSED),
        ("[...[7, 8].entries()]", "0,7,1,8"),
        ("[1, 2, 3].filter((x, i, a) => { a[i + 1] = 9; return true })", "1,9,9"),
        ("[1, 2].find((x, i, a) => { a[i] = 9; return true })", "1"),
        ("[1].map(function () { return this.a }, { a: 5 })", REFUSED),
        ("[1, [2]].flat()", "1,2"),
        # objects
        ("Object.keys({ b: 1, 1710460800: 2, 4294967295: 3 })", "1710460800,b,4294967295"),
        ('JSON.stringify(Object.assign({}, ["x"]))', REFUSED),
        ('"toString" in {}', "true"),
        ("({}).a.b?.()", REFUSED),
        ("(5).toFixed?.(2)", REFUSED),
        ("typeof Array", "function"),
        ("(d => d === new Date(d))(new Date(0))", "false"),
        ("({ a: () => 1 }).a.name", REFUSED),
        ("(() => { a: 1 })()", REFUSED),
        ("(function () { return typeof this })()", REFUSED),
        ("absent ? 1 : 1", REFUSED),
    ],
)
def test_an_expression_has_its_value_in_javascript(expression: str, value: str) -> None:
    method = read(A1 + f"await q.query(`${{{expression}}}`) }} }}")
    assert told(method) == (REFUSED if value is REFUSED else [value])


@pytest.mark.parametrize(
    ("body", "value"),
    [
        # one after the other, each once
        ("const a = [1]; await q.query(`${a}${a.push(2)}`)", ["12"]),
        ("const a = [0, 0]; let i = 0; a[i++]++; await q.query(`${a} ${i}`)", ["1,0 1"]),
        ("const a = [0, 0]; let i = 0; a[i++] += 5; await q.query(`${a} ${i}`)", ["5,0 1"]),
        ("const a = [0, 0]; let i = 0; a[i] = i = 1; await q.query(`${a}`)", ["1,0"]),
        ("const a = [1]; a[0.5] = 2; await q.query(`${a}`)", REFUSED),
        # names
        ("const x = 'o'; const f = () => { const y = x; var x; return y }; "
         "await q.query(`${f()}`)", ["undefined"]),
        ("const x = 'o'; { const f = () => x; f(); const { x } = { x: 1 } }", REFUSED),
        ("const x = 'o'; { const f = () => x; f(); class x {} }", REFUSED),
        ("const b = 1; const f = (a = b, b = 2) => a; f()", REFUSED),
        ("const f = (a, g = () => a) => { var a = 2; return g() }; f(1)", REFUSED),
        ("const f = (undefined) => undefined; f(5)", REFUSED),
        ("const f = function g() { g = 5 }; f()", REFUSED),
        ("for (const x of [1]) { x = 2 }", REFUSED),
        ("const x = [1]; for (const x of x) {}", REFUSED),
        ("switch (2) { case 1: let y; case 2: y; }", REFUSED),
        ("const f = []; for (let i = 0; i < 3; f.push(() => i), i++) {} "
         "await q.query(f.map((g) => g()).join())", ["1,2,3"]),
        # what cannot be changed
        ("const o = Object.freeze({ a: 1 }); o.a = 2", REFUSED),
        ("const o = Object.freeze([1]); o.push(2)", REFUSED),
        ("const o = Object.freeze({ a: 1 }); Object.assign(o, { a: 2 })", REFUSED),
        # arrays that are gone through
        ("const i = [1].entries(); for (const x of i); for (const x of i);", REFUSED),
        ("const a = [1]; for (const [i, x] of a.entries()) { if (i < 1) a.push(9); "
         "await q.query(`${x}`) }", ["1", "9"]),
        ("const a = [1, 2]; for (const i in a) a.pop()", REFUSED),
        # what is not known
        ("const r = await q.query('s'); await q.query(`${[r, 1].flat().length}`)", REFUSED),
        ("const r = await q.query('s'); await q.query(`${Array.isArray(r)}`)", REFUSED),
        ("let i = 0; const { a = i++ } = await q.query('s'); await q.query(`${i}`)", REFUSED),
        ("let i = 0; const r = await q.query('s'); JSON.stringify(r, () => i++)", REFUSED),
        ("const o = { a: 1 }; process.env.X && delete o.a", REFUSED),
        # failures
        ("const {} = null", REFUSED),
        ("const o = {}; console.log(o.a.b); await q.query('x')", REFUSED),
        ("console.log(absent); await q.query('x')", REFUSED),
        ("const f = async () => { throw new Error('x') }; f(); await q.query('a')", REFUSED),
        ("const p = Promise.reject(new Error('x')); await q.query('a')", REFUSED),
        ("const f = async () => { throw new Error('x') }; await f()", ["throws x"]),
        ("const f = () => { q.query('a'); return new Error('x') }; throw f()", REFUSED),
        ("throw new Error('x', { cause: await q.query('a') })", REFUSED),
        # awaits
        ("let x = 1; const f = async () => { await q.query('a'); return x }; "
         "const p = f(); x = 2; await q.query(`${await p}`)", REFUSED),
        ("let x = 1; const f = async () => { await q.query('a'); x = 2 }; "
         "const p = f(); await q.query(`${x}`); await p", REFUSED),
        ("let x = 0; const f = async () => { x += await 1 }; await Promise.all([f(), f()])",
         REFUSED),
        ("await { then(go) { go('x') } }", REFUSED),
        # loggers that are none
        ("const log = { info: (s) => q.query(s) }; await log.info('a')", ["a"]),
        ("const console = { log: (s) => q.query(s) }; await console.log('a')", ["a"]),
        # lines
        ("const f = () => { return /* a\n */ 'x' }; await q.query(f())", REFUSED),
        ("let x = 1, y = 2; await q.query(`${x<!--y}`)", REFUSED),
        ("enum E { A } enum E { B = 5 } await q.query(`${E.A}${E.B}`)", ["05"]),
        ("const String = { raw: () => 'R' }; String.raw`x`", REFUSED),
    ],
)  # fmt: skip
def test_statements_do_what_they_do_in_javascript(body: str, value: list[str] | str) -> None:
    assert told(read(A1 + body + " } }")) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # accessors and fields
        ("export class A1 { set v(x) { this.w = x } async up(q) { this.v = 'b'; "
         "await q.query(`${this.v}${this.w}`) } }", ["undefinedb"]),
        ("export class A1 { get v() { return 1 } async up(q) { this.v = 2 } }", REFUSED),
        ("export class A1 { get v() { return 1 } v() {} async up(q) { "
         "await q.query(typeof this.v) } }", ["function"]),
        ("export class A1 { accessor v = 1; async up(q) {} }", REFUSED),
        ("export class A1 { #p = 'x'; async up(q) { await q.query(`${this['#p']}`) } }", REFUSED),
        ("class B { a = 'b'; async up(q) { await q.query(this.a) } } "
         "export class A1 extends B { a: string; }", REFUSED),
        ("class B { a = 'b'; async up(q) { await q.query(this.a) } } "
         "export abstract class A1 extends B { abstract a: string }", ["b"]),
        ("class B { get g() { return 'b' + this.z } } export class A1 extends B { z = 1; "
         "get g() { return super.g } async up(q) { await q.query(this.g) } }", ["b1"]),
        # constructors
        ("export class A1 { constructor(readonly a = 'p') {} "
         "async up(q) { await q.query(this.a) } }", ["p"]),
        ("export class A1 { b = `${this.a}`; constructor(private a = 'p') {} "
         "async up(q) { await q.query(this.b) } }", REFUSED),
        ("export class A1 { constructor() { if (true) return; this.a = 1 } async up(q) {} }",
         REFUSED),
        ("function g() { return 'o' } export class A1 { constructor() { this.a = g(); "
         "function g() { return 'i' } } async up(q) { await q.query(this.a) } }", ["i"]),
        ("class B {} export class A1 extends B { constructor() {} async up(q) {} }", REFUSED),
        ("function B() { this.x = 1 } export class A1 extends B { "
         "async up(q) { await q.query(`${this.x}`) } }", REFUSED),
        ("import { load } from './x'; class B { constructor() { load(this) } } "
         "export class A1 extends B { async up(q) { await q.query(`${this.x}`) } }", REFUSED),
        # static parts
        ("class B { static x = 'y'; static { B.x = 'z' } } " + A1 + "await q.query(B.x) } }",
         ["z"]),
        ("import { load } from './x'; class B { static x = 'y'; static { load(B) } } "
         + A1 + "await q.query(B.x) } }", REFUSED),
        ("const L = ['a']; module.exports = class { static x = L.push('b'); async up(q) { "
         "await q.query(`${L}`) } }; L.push('c')", ["a,b,c"]),
        ("let A1 = class { async up(q) {} }; A1 = class { async up(q) { q.query('b') } }; "
         "module.exports = { A1 }", REFUSED),
        ("export const A1 = class { async up(q) { await q.query(this.constructor.name) } }",
         ["A1"]),
        # what other code may change
        ("import { load } from './x'; const L = ['a']; export class A1 { x = load(L); "
         "async up(q) { await q.query(`${L}`) } }", REFUSED),
        ("import { load } from './x'; export class A1 { t = 'a'; x = load(this); "
         "async up(q) { await q.query(this.t) } }", REFUSED),
        ("import { load } from './x'; export class A1 { log = new load(A1.name); "
         "async up(q) { await q.query('a') } }", ["a"]),
        ("import { load } from './x'; let n = 0; const go = () => { load(); n++ }; go(); "
         + A1 + "await q.query(`${n}`) } }", REFUSED),
        ("import { load } from './x'; const L = ['a']; class B { static s = load(L) } "
         + A1 + "await q.query(`${L}`) } }", REFUSED),
        ("import { load } from './x'; const L = ['a']; "
         + A1 + "class B { [load(L)] = 1 } await q.query(`${L}`) } }", REFUSED),
        (A1 + "q.query('a') } } const p = A1.prototype; p.up = () => {};", REFUSED),
        (A1 + "q.query([1].join()) } } Array.prototype.join = () => 'x';", REFUSED),
        ("JSON.stringify = () => 'x'; " + A1 + "q.query(JSON.stringify(1)) } }", REFUSED),
        # files that fail when they are loaded
        ("throw new Error('x'); " + A1 + "q.query('a') } }", REFUSED),
        ("const x = absent; " + A1 + "q.query('a') } }", REFUSED),
        ("export class A1 { x = undefined.y; async up(q) { q.query('a') } }", REFUSED),
        ("const L = ['a']; exports.n = L.push('b'); exports.A1 = class { async up(q) { "
         "await q.query(`${L}`) } }", ["a,b"]),
        (A1 + "await q.query(`${L}`) } } const L = ['a']; export default L.push('b');", ["a,b"]),
    ],
)  # fmt: skip
def test_files_and_classes_are_made_as_in_javascript(text: str, value: list[str] | str) -> None:
    assert told(read(text)) == value


def test_type_arguments_are_comparisons_in_javascript() -> None:
    body = "const f = (...z) => z.length; const a = 1, b = 2, c = 3; "
    text = A1 + body + "await q.query(`${f(a < b, c > (1))}`) } }"
    assert told(read(text, "/nowhere/a.js")) == REFUSED


def test_the_default_of_compiled_imports_is_the_json_itself(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text('{"t": "x"}')
    text = (
        "const d = __importDefault(require('./d.json')); " + A1 + "await q.query(d.default.t) } }"
    )
    assert told(read(text, str(tmp_path / "a.js"))) == ["x"]
