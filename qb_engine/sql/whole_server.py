"""statements that reach beyond their database: a scratch on a shared server must not run them"""

from __future__ import annotations

# by kind, with the reason that a user reads
WHOLE_SERVER = {
    "createdb": "CREATE DATABASE makes a database on the server",
    "dropdb": "DROP DATABASE removes a database of the server",
    "alter_database": "ALTER DATABASE may move a database of the server",
    "alter_database_set": "ALTER DATABASE changes settings beyond the shadow",
    "create_table_space": "a tablespace is a folder of the server",
    "drop_table_space": "a tablespace is a folder of the server",
    "alter_system": "ALTER SYSTEM changes the whole server",
    "create_subscription": "a subscription connects to another server",
    "alter_subscription": "a subscription connects to another server",
    "drop_subscription": "a subscription connects to another server",
    "create_role": "a role belongs to the whole server",
    "alter_role": "a role belongs to the whole server",
    "alter_role_set": "a role belongs to the whole server",
    "drop_role": "a role belongs to the whole server",
    "grant_role": "roles belong to the whole server",
    "reassign_owned": "roles belong to the whole server",
    "drop_owned": "roles belong to the whole server",
    "load": "LOAD runs code of a file in the server",
    "checkpoint": "CHECKPOINT works for the whole server",
}
