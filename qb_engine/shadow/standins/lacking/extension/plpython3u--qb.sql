-- Functions in this language can be made; when run they are read as PL/pgSQL, and fail.
CREATE TRUSTED LANGUAGE plpython3u HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler;
