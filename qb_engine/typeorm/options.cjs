"use strict";
// Load the user's data source, connect to nothing, and say its options.

const { given, guard, optionsOf, said, send } = require("./project.cjs");

async function main() {
  const { file } = given();
  guard(null);
  process.on("unhandledRejection", () => {}); // it tried to connect, and was refused
  let options;
  try {
    options = await optionsOf(file);
  } catch (error) {
    send({ event: "failed", message: said(error) });
    process.exit(0);
  }
  const migrations = options.migrations || [];
  const listed = Array.isArray(migrations) ? migrations : Object.values(migrations);
  send({
    event: "options",
    type: options.type,
    migrations: listed.filter((each) => typeof each === "string"),
    classes: listed.filter((each) => typeof each === "function").map((each) => each.name),
    table: options.migrationsTableName || null,
    schema: options.schema || null,
    mode: options.migrationsTransactionMode || null,
  });
  process.exit(0);
}

main();
