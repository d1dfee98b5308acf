-- Without a handler: foreign tables can be made, and no file is ever read.
CREATE FOREIGN DATA WRAPPER file_fdw;
GRANT USAGE ON FOREIGN DATA WRAPPER file_fdw TO PUBLIC;
