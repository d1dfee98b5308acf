"use strict";
// Run migrations in order on a scratch database, and tell qb what each of those that it asked about
// sends there. One transaction for all as far as PostgreSQL allows it; it is rolled back, and the
// database is dropped afterwards.

const { AsyncLocalStorage } = require("node:async_hooks");
const { classes, given, guard, load, optionsOf, ours, said, send } = require("./project.cjs");

const where = new AsyncLocalStorage(); // which call a statement belongs to: {api, emit, inside}
const LATE = "it goes on sending queries after it has ended";
const LOOKS = ["hasTable", "hasColumn", "hasSchema", "hasDatabase", "getTable", "getTables",
  "getView", "getViews"];
const APART = ["query", "connect", "release", "executeQueries", "constructor", "stream"];
const AWAY = ["url", "replication", "extra", "ssl", "cache", "subscribers", "migrations", "logger",
  "poolSize", "nativeDriver", "driver"]; // of the user's options
const ALONE = ["25001", "55P04", "55006", "53200"]; // not in one transaction with what came before
const READS = /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/|\()*(?:select|with|show|values|table|explain)\b/i;
const CONTROL =
  /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*(?:begin|start\s+transaction|commit|end|abort|rollback(?!\s+(?:work\s+|transaction\s+)?to)|prepare\s+transaction)\b/i;

const WHOLE =
  /(?:^|;)(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*(?:(?:create|drop|alter)\s+(?:database|role|user(?!\s+mapping)|group|tablespace|system|subscription)\b|reassign\s+owned|drop\s+owned|load\s|checkpoint\b)/i;

let now = null; // what is being recorded: {sent, looks, pending, control, direct, other, env}
let step = null;
let runner, send_;

function watched(value, mark) {
  if (value === null || typeof value !== "object") return value;
  const seen = (key) => { if (key !== "then" && where.getStore()?.inside !== true) mark(); };
  return new Proxy(value, {
    get(target, key) { seen(key); return Reflect.get(target, key); },
    has(target, key) { seen(key); return Reflect.has(target, key); },
    ownKeys(target) { seen("length"); return Reflect.ownKeys(target); },
  });
}

/** A parameter as qb can write it down: plain as it is, anything else as the driver sends it. */
function parameter(value) {
  if (value === undefined || value === null) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  const prepared = prepare(value);
  return Buffer.isBuffer(prepared) ? `\\x${prepared.toString("hex")}` : prepared;
}

let prepare = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

function wrap() {
  send_ = runner.query.bind(runner);
  runner.query = function (sql, parameters, structured) {
    const call = where.getStore() || {};
    const inside = () => where.run({ inside: true }, () => send_(sql, parameters, structured));
    if (call.mine && call.mine !== now && !call.inside) {
      send({ event: "failed", name: call.mine.name, message: LATE });
      process.reallyExit(3);
    }
    if (!now || call.inside) return send_(sql, parameters, structured);
    if (typeof sql !== "string") return Promise.reject(new Error("the query is no text"));
    if (WHOLE.test(sql)) return Promise.reject(new Error(`it reaches the whole server: ${sql}`));
    if (call.api && !call.emit && READS.test(sql)) return inside();
    const entry = { sql, parameters: parameters ? parameters.map(parameter) : null, used: false,
      structured: Boolean(structured), api: call.api || null, failed: null };
    now.sent.push(entry);
    now.last = entry;
    if (CONTROL.test(sql)) now.control = sql;
    const mine = now;
    const running = inside().then(
      (result) => structured ? result : watched(result, () => { entry.used = true; }),
      (error) => { entry.failed = said(error); throw error; });
    mine.pending.add(running);
    const settled = () => mine.pending.delete(running);
    running.then(settled, settled);
    return running;
  };
  const execute = runner.executeQueries;
  runner.executeQueries = function (...args) {
    return where.run({ ...where.getStore(), emit: true }, () => execute.apply(this, args));
  };
  const names = new Set();
  for (let at = Object.getPrototypeOf(runner); at && at !== Object.prototype;
    at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === "function" && !APART.includes(name)) names.add(name);
    }
  }
  for (const name of names) {
    const method = runner[name];
    runner[name] = function (...args) {
      const call = where.getStore();
      if (!now || (call && (call.api || call.inside))) return method.apply(this, args);
      if (/Transaction$/.test(name)) now.control = `queryRunner.${name}()`;
      const result = where.run({ ...call, api: name }, () => method.apply(this, args));
      if (LOOKS.includes(name)) look(name, args, result);
      return result;
    };
  }
  runner.stream = () => { throw new Error("qb cannot record a stream of rows"); };
}

function look(name, args, result) {
  const mine = now;
  const asked = args.flat().filter((each) => typeof each === "string").join(".");
  Promise.resolve(result).then((seen) => {
    const answer = typeof seen === "boolean" ? (seen ? "yes" : "no")
      : Array.isArray(seen) ? `${seen.length} found` : seen ? "found" : "not found";
    mine.looks.push(`${name}(${asked}): ${answer}`);
  }, () => {});
}

/** What goes past the query runner is noticed. It reaches the scratch database all the same. */
function notice(typeorm, client) {
  const proto = Object.getPrototypeOf(runner);
  const query = proto.query;
  proto.query = function (sql, parameters, structured) {
    if (!now || this === runner) return query.call(this, sql, parameters, structured);
    past("it uses a connection of its own, not its query runner's");
    if (CONTROL.test(sql)) return Promise.resolve([]); // it is our transaction that would end
    return where.run({ inside: true }, () => send_(sql, parameters, structured));
  };
  const raw = client.query;
  client.query = function (...args) {
    if (now && !where.getStore()?.inside) {
      past("it uses the driver's connection, not its query runner");
    }
    return raw.apply(this, args);
  };
  for (const name of ["InsertQueryBuilder", "UpdateQueryBuilder", "DeleteQueryBuilder"]) {
    const Builder = typeorm[name];
    if (!Builder) continue;
    const execute = Builder.prototype.execute;
    Builder.prototype.execute = async function (...args) {
      const mine = now;
      const result = await execute.apply(this, args);
      const entry = mine && mine.last;
      return entry ? watched(result, () => { entry.used = true; }) : result;
    };
  }
  const env = process.env;
  process.env = new Proxy(env, {
    get(target, key) {
      if (step && typeof key === "string" && called(step.file)) {
        (step.env ||= new Set()).add(key);
      }
      return target[key];
    },
  });
}

function past(why) {
  now.direct = why;
}

/** True when what runs now was called from this very file. */
function called(file) {
  const line = (new Error().stack || "").split("\n")[3] || "";
  return line.includes(file) || line.includes(file.replace(/\\/g, "/"));
}

/** Run a method and tell what it sent. Errors come out of it. */
async function listen(work) {
  runner.loadedTables = []; // what it knows of tables may have been rolled back
  runner.loadedViews = [];
  now = { sent: [], looks: [], pending: new Set(), control: null, direct: null, late: false,
    name: step.name };
  const mine = now;
  try {
    await where.run({ mine }, work);
    mine.late = mine.pending.size > 0;
    while (mine.pending.size) {
      await Promise.all(mine.pending);
      await new Promise(setImmediate); // who waits for these may send more
    }
    return mine;
  } finally {
    await Promise.allSettled(mine.pending);
    now = null;
  }
}

const heard = (it) => ({ sent: it.sent, looks: it.looks, control: it.control, direct: it.direct,
  late: it.late });

async function found(wanted) {
  const all = classes(await load(wanted.file));
  for (const each of new Set(all)) {
    if (!each.prototype || typeof each.prototype.up !== "function") {
      if (each.name !== wanted.class) continue;
    }
    const made = new each();
    if ((made.name || each.name) === wanted.name || each.name === wanted.class) return made;
  }
  throw new Error(`the file exports no class ${wanted.class}`);
}

let active = false; // a transaction is open

async function begin() {
  if (!active) await send_("BEGIN");
  active = runner.isTransactionActive = true;
  runner.transactionDepth = 1;
}

async function end(how) {
  if (active) await send_(how);
  active = runner.isTransactionActive = false;
  runner.transactionDepth = 0;
}

const codeOf = (error) => error && (error.code || (error.driverError && error.driverError.code));

/** Work of a step inside a savepoint; outside of a transaction where PostgreSQL asks for that. */
async function guarded(work, outside) {
  if (outside) {
    await end("COMMIT");
    const result = await work(false);
    await begin();
    return result;
  }
  await begin();
  await send_("SAVEPOINT qb_step");
  try {
    return await work(true);
  } catch (error) {
    const code = codeOf(error);
    if (!ALONE.includes(code) || (step.tried ||= []).includes(code)) throw error;
    step.tried.push(code);
    await send_("ROLLBACK TO SAVEPOINT qb_step");
    await end("COMMIT");
    return await guarded(work, code === "25001");
  }
}

async function perform(wanted) {
  const migration = wanted.record ? await found(wanted) : null;
  const none = wanted.transaction === false;
  const answer = { event: "recorded", name: wanted.name };
  const sql = async () => {
    for (const each of wanted.queries) if (!WHOLE.test(each.sql)) await send_(each.sql, each.parameters || undefined);
  };
  const up = () => listen(() => migration.up(runner));
  await guarded(async (inside) => {
    if (wanted.record !== "both") return await sql();
    answer.up = heard(await up());
    if (inside && !answer.up.control) {
      await send_("ROLLBACK TO SAVEPOINT qb_step");
      answer.again = heard(await up());
    }
    answer.ended = Boolean(answer.up.control);
  }, none);
  if (answer.ended) { // it ended the transaction itself: what it did stays, as it would
    await end("COMMIT");
    await begin();
  }
  if (migration && typeof migration.down === "function") await wayBack(migration, answer);
  if (migration) {
    answer.env = [...(step.env || [])];
    send(answer);
  }
}

async function wayBack(migration, answer) {
  await begin();
  await send_("SAVEPOINT qb_down");
  try {
    answer.down = heard(await listen(() => migration.down(runner)));
  } catch (error) {
    answer.downFailed = said(error);
    if (codeOf(error) === "25001") return await apart(migration, answer);
  }
  if (answer.down && answer.down.control) answer.downFailed = "";
  try {
    await send_("ROLLBACK TO SAVEPOINT qb_down");
  } catch { // it ended the transaction: what it undid is undone
    answer.undone = true;
    await end("ROLLBACK");
    await begin();
  }
}

/** A way back that PostgreSQL takes outside of a transaction only: there and back again. */
async function apart(migration, answer) {
  await send_("ROLLBACK TO SAVEPOINT qb_down");
  await end("COMMIT");
  answer.down = heard(await listen(() => migration.down(runner)));
  answer.downFailed = "";
  await listen(() => migration.up(runner));
  await begin();
}

/** A data source of the scratch database, with the entities and the names of the user's own. */
async function opened(typeorm, plan) {
  const Source = typeorm.DataSource || typeorm.Connection; // the latter: TypeORM 0.2
  const { host, port, user, password, database, ssl } = plan.connection;
  const made = async (options) => {
    const source = new Source({
      ...options, type: "postgres", host, port, username: user, password, database,
      ssl: ssl || false, synchronize: false, dropSchema: false, migrationsRun: false,
      logging: false, migrations: [], extra: { max: 2, application_name: "qb recording" },
    });
    await (source.initialize ? source.initialize() : source.connect());
    return source;
  };
  if (!plan.dataSource) return await made({});
  try {
    const options = { ...(await optionsOf(plan.dataSource)) };
    for (const name of AWAY) delete options[name];
    return await made(options);
  } catch (error) {
    if (plan.strict) throw error;
    send({ event: "without", message: said(error) });
    return await made({});
  }
}

async function main() {
  const plan = given();
  guard(plan.connection);
  process.on("unhandledRejection", (error) => {
    if (step) broken(`a promise was rejected, and nobody waited for it: ${said(error)}`);
  });
  process.on("uncaughtException", (error) => broken(said(error)));
  const exit = process.exit;
  process.exit = (code) => {
    process.exit = exit;
    if (step) send({ event: "failed", name: step.name, message: `it called process.exit(${code ?? ""})` });
    exit(3);
  };
  const broken = (message) => {
    send({ event: "failed", name: step ? step.name : null, message });
    exit(3);
  };
  const typeorm = ours("typeorm");
  try {
    prepare = require(require.resolve("pg/lib/utils", { paths: [ours.resolve("typeorm")] })).prepareValue;
  } catch { // a driver of another shape: the plain way above stands
  }
  const source = await opened(typeorm, plan);
  runner = source.createQueryRunner();
  const client = await runner.connect();
  wrap();
  notice(typeorm, client);
  send({ event: "ready" });
  for (const wanted of plan.steps) {
    step = wanted;
    send({ event: "begin", name: wanted.name });
    try {
      await perform(wanted);
    } catch (error) {
      send({ event: "failed", name: wanted.name, message: said(error) });
      exit(3);
    }
    step = null;
  }
  await end("ROLLBACK");
  send({ event: "done" });
  exit(0);
}

main().catch((error) => {
  send({ event: "failed", name: step ? step.name : null, message: said(error) });
  process.reallyExit(3);
});
