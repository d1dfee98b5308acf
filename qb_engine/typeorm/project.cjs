"use strict";
// What both scripts need of the user's project: its modules, its data source, and no way to
// anywhere but the one database that was named.

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { createRequire } = require("node:module");
const { pathToFileURL } = require("node:url");

const STARTUP = 196608; // version 3.0 of the protocol
const root = process.cwd();
const ours = createRequire(path.join(root, "package.json"));

/** Write an event for qb: one JSON object in a line of the pipe it named. */
function send(event) {
  fs.writeSync(Number(process.argv[2]), JSON.stringify(event) + "\n");
}

/** An error in words: its message, and of what stands behind it. */
function said(error) {
  if (!(error instanceof Error)) return String(error);
  const first = error.driverError instanceof Error ? error.driverError.message : error.message;
  const behind = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  const named = error.name && error.name !== "Error" && error.name !== "QueryFailedError";
  return (named && !first.startsWith(error.name) ? `${error.name}: ${first}` : first) + behind;
}

/** Refuse every connection but those to the database `to`; without one, all of them. */
function guard(to) {
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...args) {
    let first = args[0];
    if (Array.isArray(first)) first = first[0];
    const where = typeof first === "object" && first !== null ? first
      : typeof first === "string" && !/^\d+$/.test(first) ? { path: first }
      : { port: first, host: typeof args[1] === "string" ? args[1] : "localhost" };
    if (!allowed(where, to)) throw new Error(refusal(where));
    const made = connect.apply(this, args); // it puts back the `write` of every socket
    if (to) firstWords(this, to);
    return made;
  };
  for (const at of ["pg", "typeorm"]) {
    let pg;
    try {
      pg = at === "pg" ? ours("pg") : createRequire(ours.resolve("typeorm"))("pg");
    } catch {
      continue; // the project has none there; TypeORM says so itself
    }
    only(pg.Client, to);
  }
}

function allowed(where, to) {
  if (where.path) {
    if (!path.basename(String(where.path)).startsWith(".s.PGSQL.")) return true;
    return Boolean(to) && to.host.startsWith("/") && String(where.path) === socketOf(to);
  }
  const host = where.host || "localhost";
  return Boolean(to) && host === to.host && Number(where.port) === to.port;
}

/** Read what a client says first to a server of PostgreSQL: it names the database that it wants. */
function firstWords(socket, to) {
  const write = socket.write;
  socket.write = function (data, ...rest) {
    const bytes = Buffer.isBuffer(data) ? data : Buffer.from(String(data));
    if (bytes.length > 8 && bytes.readInt32BE(4) === STARTUP) {
      socket.write = write;
      const words = bytes.subarray(8).toString().split("\0");
      const asked = words[words.indexOf("database") + 1] || words[words.indexOf("user") + 1];
      if (asked !== to.database) {
        socket.destroy(new Error(refusal({ path: `the database ${asked}` })));
        return false;
      }
    }
    return write.call(this, data, ...rest);
  };
}

function socketOf(to) {
  return path.join(to.host, `.s.PGSQL.${to.port}`);
}

function refusal(where) {
  const there = where.path || `${where.host || "localhost"}:${where.port}`;
  return `qb lets it reach nothing but its scratch database, and it asked for ${there}`;
}

/** Let a driver's clients reach one database of the server only. */
function only(Client, to) {
  if (Client.prototype.qbGuarded) return;
  Client.prototype.qbGuarded = true;
  const connect = Client.prototype.connect;
  Client.prototype.connect = function (...args) {
    if (!to || this.database !== to.database) {
      throw new Error(refusal({ path: `the database ${this.database}` }));
    }
    return connect.apply(this, args);
  };
}

/** What a file exports, loaded as TypeORM loads it. */
async function load(file) {
  if (isModule(file)) return await import(pathToFileURL(file).href);
  try {
    return ours(file);
  } catch (error) {
    const code = error && error.code;
    if (code !== "ERR_REQUIRE_ESM" && code !== "ERR_REQUIRE_ASYNC_MODULE") throw error;
    return await import(pathToFileURL(file).href);
  }
}

function isModule(file) {
  if (/\.m[jt]s$/.test(file)) return true;
  if (/\.c[jt]s$/.test(file)) return false;
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const nearest = path.join(folder, "package.json");
    if (fs.existsSync(nearest)) {
      return JSON.parse(fs.readFileSync(nearest, "utf8")).type === "module";
    }
    if (path.dirname(folder) === folder) return false;
  }
}

/** The options of the data source that a file exports. */
async function optionsOf(file) {
  const exported = await load(file);
  const found = [];
  const plain = [];
  for (const each of await Promise.all(values(exported))) {
    if (!each || typeof each !== "object") continue;
    if (each.options && typeof each.initialize === "function") {
      if (!found.includes(each.options)) found.push(each.options);
    } else if (typeof each.type === "string") plain.push(each);
  }
  const options = found.length ? found : plain;
  if (options.length === 0) throw new Error("it exports no DataSource");
  if (options.length > 1 && !found.length) {
    const postgres = options.filter((each) => each.type === "postgres");
    if (postgres.length === 1) return postgres[0];
  }
  if (options.length > 1) throw new Error(`it exports ${options.length} data sources`);
  return options[0];
}

function values(exported) {
  const found = Object.values(exported);
  const whole = exported && exported.default;
  if (whole && typeof whole === "object" && !whole.options) found.push(...Object.values(whole));
  return [exported, ...found];
}

/** Every class that a file exports, arrays and objects gone into, as TypeORM collects them. */
function classes(exported, seen = new Set()) {
  if (typeof exported === "function") return [exported];
  if (!exported || typeof exported !== "object" || seen.has(exported)) return [];
  seen.add(exported);
  return Object.values(exported).flatMap((each) => classes(each, seen));
}

/** The whole of standard input as JSON. */
function given() {
  return JSON.parse(fs.readFileSync(0, "utf8"));
}

module.exports = { classes, given, guard, load, optionsOf, ours, said, send };
