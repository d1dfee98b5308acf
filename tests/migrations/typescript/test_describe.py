"""what a file says of itself: its classes, its exports, its constants"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qb_engine.migrations.typescript import (
    Export,
    MigrationClass,
    Script,
    constants,
    describe,
    is_script,
    methods,
)

UP = "async up(q) { await q.query('SELECT 1') } async down(q) {}"


def script(text: str, name: str = "a.ts") -> Script:
    return describe(Path(name), text)


def only(text: str) -> MigrationClass:
    (found,) = script(text).classes
    return found


@pytest.mark.parametrize(
    ("text", "name", "exported", "default"),
    [
        (f"export class A1710460800000 {{ {UP} }}", "A1710460800000", True, False),
        (f"export default class A1710460800000 {{ {UP} }}", "A1710460800000", True, True),
        (f"export default class {{ {UP} }}", "default", True, True),
        (f"class A1 {{ {UP} }}", "A1", False, False),
        (f"class A1 {{ {UP} }}\nexport {{ A1 }}", "A1", True, False),
        (f"class A1 {{ {UP} }}\nexport {{ A1 as B2 }}", "A1", True, False),
        (f"class A1 {{ {UP} }}\nexport {{ A1 as default }}", "A1", True, True),
        (f"class A1 {{ {UP} }}\nexport default A1;", "A1", True, True),
        (f"class A1 {{ {UP} }}\nexport = A1;", "A1", True, True),
        (f"export const A1 = class {{ {UP} }};", "A1", True, False),
        (f"export const A1 = class B2 {{ {UP} }} as any;", "B2", True, False),
        (f"module.exports = class A1 {{ {UP} }}", "A1", True, True),
        (f"module.exports = class {{ {UP} }}", "", True, True),
        (f"class A1 {{ {UP} }}\nmodule.exports = {{ A1 }};", "A1", True, False),
        (f"class A1 {{ {UP} }}\nmodule.exports = {{ B: A1 }};", "A1", True, False),
        (f"exports.A1 = void 0; class A1 {{ {UP} }}\nexports.A1 = A1;", "A1", True, False),
        (f"module.exports.A1 = class A1 {{ {UP} }};", "A1", True, False),
        (f"export abstract class A1 {{ {UP} }}", "A1", True, False),
        ("export class A1 { up = async (q) => {}; }", "A1", True, False),
        ("export class A1 { 'up'(q) {} }", "A1", True, False),
        (f"class B {{ {UP} }}\nexport class A1 extends B {{}}", "A1", True, False),
    ],
)
def test_a_class_is_found_however_it_is_exported(
    text: str, name: str, exported: bool, default: bool
) -> None:
    found = only(text)
    assert (found.class_name, found.exported, found.default) == (name, exported, default)
    assert methods(Path("a.ts"), text=text).up.unread is None


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        ("name = 'Own1710460800000'", "Own1710460800000"),
        ('readonly name: string = "Own1710460800000" as const;', "Own1710460800000"),
        ("name = `Own${1710460800000}`", "Own1710460800000"),
        ("name = PREFIX + 1710460800000", "Pre1710460800000"),
        ("get name() { return 'Own1710460800000' }", "Own1710460800000"),
        ("name; constructor() { this.name = `Own${STAMP}`; }", "Own1710460800000"),
        ("static name = 'Own1710460800000'", "Own1710460800000"),
        ("name: string;", "A1"),
        ("declare name: string;", "A1"),
        ("name = undefined", "A1"),
        ("static NAME = 'x'", "A1"),
        ("'name' = 'Own1710460800000'", "Own1710460800000"),
    ],
)
def test_the_name_is_the_property_or_else_the_class(inside: str, name: str) -> None:
    found = only(
        f"const PREFIX = 'Pre', STAMP = 1710460800000;\nexport class A1 {{ {inside}\n{UP} }}"
    )
    assert (found.name, found.name_unread) == (name, "")
    assert found.stamp == (name[-13:] if len(name) > 13 else "")


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("name = process.env.NAME", "process.env.NAME"),
        ("name = imported", "./x"),
        ("name = make()", "make"),
        ("name = 5", "not a text"),
        ("name = ''", "not a text"),
        ("constructor() { this.name = make(); }", "make"),
        ("get name() { throw new Error('no') }", "no"),
    ],
)
def test_a_computed_name_is_not_guessed(inside: str, said: str) -> None:
    found = only(f"import {{ imported }} from './x';\nexport class A1 {{ {inside}\n{UP} }}")
    assert found.name == ""
    assert said in found.name_unread


def test_transaction_and_constraints_are_told_with_their_lines() -> None:
    found = only(
        f"""const type = 'varchar';
export class A1710460800000 {{
  static constraints = {{
    users: {{ must_exist: true, columns: {{ id: {{ type, nullable: false, n: [2.5, null] }} }} }},
  }} as const;

  transaction = false;
  {UP}
}}
"""
    )
    assert (found.transaction, found.transaction_line, found.static_transaction) == (False, 7, 0)
    assert found.constraints_line == 3
    assert found.constraints == {
        "users": {
            "must_exist": True,
            "columns": {"id": {"type": "varchar", "nullable": False, "n": [2.5, None]}},
        }
    }
    assert (found.line, found.end) == (2, 9)


def test_what_is_computed_in_transaction_or_constraints_is_said() -> None:
    found = only(
        f"export class A1 {{ transaction = process.env.T === '1';\n"
        f"static constraints = load();\n{UP} }}"
    )
    assert found.transaction is None
    assert "process.env.T" in found.transaction_unread
    assert found.constraints == {}
    assert "load" in found.constraints_unread
    static = only(f"export class A1 {{\nstatic transaction = false; {UP} }}")
    assert (static.transaction, static.static_transaction) == (None, 2)
    assert only(f"export class A1 {{ static constraints = [1]; {UP} }}").constraints_unread


def test_a_class_without_down_says_so() -> None:
    text = "export class A1 { async up(q) {} }"
    assert not only(text).has_down
    assert methods(Path("a.ts"), text=text).down is None


@pytest.mark.parametrize(
    ("text", "name", "kind", "callable_"),
    [
        ("export function f() {}", "f", "function", True),
        ("export async function f() {}", "f", "function", True),
        ("export default function () {}", "default", "function", True),
        ("export const f = () => 1;", "f", "function", True),
        ("export const f = (function () {}) as any;", "f", "function", True),
        ("export const o = { a: 1, b: [2] };", "o", "object", False),
        ("export const o = { a: { b() {} } };", "o", "object", True),
        ("export const o = { a: () => 1 };", "o", "object", True),
        ("class X {}\nexport const o = { X };", "o", "object", True),
        ("export default { async up() {}, async down() {} };", "default", "object", True),
        ("export const l = [1, 'a'];", "l", "array", False),
        ("function f() {}\nexport const l = [f];", "l", "array", True),
        ("import { X } from './x';\nexport const l = [X];", "l", "array", True),
        ("export const c = 5;", "c", "constant", False),
        ("export const c = make();", "c", "constant", False),
        ("export let c;", "c", "constant", False),
        ("export type T = string;", "T", "type", False),
        ("export interface T {}", "T", "type", False),
        ("export type { T } from './t';", "export type { T } from './t';", "type", False),
        ("export enum E { A }", "E", "object", False),
        ("export * from './a';", "*", "again", True),
        ("export * as all from './a';", "*", "again", True),
        ("export { A } from './a';", "A", "again", True),
        ("import { A } from './a';\nexport { A as B };", "B", "again", True),
        ("import { A } from './a';\nexport default A;", "default", "again", True),
        ("export class Helper {}", "Helper", "class", True),
        ("exports.f = function () {};", "f", "function", True),
        ("module.exports = { f() {} };", "f", "function", True),
        ("module.exports = { n: 1 };", "n", "constant", False),
        ("module.exports = { ...require('./x') };", "*", "again", True),
    ],
)
def test_exports_are_told_as_typeorm_takes_them(
    text: str, name: str, kind: Any, callable_: bool
) -> None:
    (found,) = script(text).exports
    assert found == Export(name, kind, found.line, callable_)
    assert script(text).classes == ()


def test_exported_constants_are_told_as_json() -> None:
    text = """
const WHERE = "email IS NULL";
export const table = "users", batch = 1_000;
export const backfill = { set: { email: `lower(${table})` }, where: WHERE, n: [-0, 1.5] };
export const computed = process.env.X;
export const made = make();
export function f() {}
export default ["a"];
"""
    assert constants(Path("a.ts"), text) == {
        "table": "users",
        "batch": 1000,
        "backfill": {"set": {"email": "lower(users)"}, "where": "email IS NULL", "n": [0, 1.5]},
        "default": ["a"],
    }
    assert script(text).constants == constants(Path("a.ts"), text)


def test_two_classes_are_both_told_and_each_can_be_read() -> None:
    text = (
        f"export class A1710460800000 {{ {UP} }}\n"
        "export class B1710460800001 { async up(q) { await q.query('SELECT 2') } }"
    )
    assert [each.name for each in script(text).classes] == ["A1710460800000", "B1710460800001"]
    assert methods(Path("a.ts"), text=text).up.queries[0].sql == "SELECT 1"
    assert methods(Path("a.ts"), "B1710460800001", text=text).up.queries[0].sql == "SELECT 2"
    with pytest.raises(LookupError):
        methods(Path("a.ts"), "C", text=text)
    with pytest.raises(LookupError):
        methods(Path("a.ts"), text="export const a = 1;")


def test_a_class_in_a_function_or_without_up_is_none() -> None:
    assert script(f"function f() {{ class A1 {{ {UP} }} return A1; }}").classes == ()
    assert script("export class A1 { static up() {} get up() { return 1 } }").classes == ()
    assert script("export class A1 { upgrade() {} }").classes == ()


def test_which_files_are_scripts() -> None:
    yes = ("a.ts", "a.mts", "a.cts", "a.js", "a.mjs", "a.cjs", "1-a.b.ts")
    no = ("a.d.ts", "a.d.mts", "a.d.cts", "a.sql", "a.tsx", "a.json", "a.py", "ts")
    assert all(is_script(Path(name)) for name in yes)
    assert not any(is_script(Path(name)) for name in no)
