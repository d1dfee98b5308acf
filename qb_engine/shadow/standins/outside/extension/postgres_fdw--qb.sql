-- Without a handler: servers, mappings and foreign tables can be made, and nothing is ever reached.
CREATE FOREIGN DATA WRAPPER postgres_fdw;
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO PUBLIC;
