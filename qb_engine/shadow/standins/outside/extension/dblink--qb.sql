-- The functions of dblink, each of which says that a shadow reaches nothing outside.
CREATE FUNCTION dblink_connect(text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_connect(text, text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_connect_u(text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_connect_u(text, text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_disconnect() RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_disconnect(text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_open(text, text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_open(text, text, boolean) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_open(text, text, text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_open(text, text, text, boolean) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_fetch(text, integer) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_fetch(text, integer, boolean) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_fetch(text, text, integer) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_fetch(text, text, integer, boolean) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_close(text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_close(text, boolean) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_close(text, text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_close(text, text, boolean) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink(text) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink(text, boolean) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink(text, text) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink(text, text, boolean) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_exec(text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_exec(text, boolean) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_exec(text, text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_exec(text, text, boolean) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_get_connections() RETURNS text[] LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_send_query(text, text) RETURNS integer LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_is_busy(text) RETURNS integer LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_get_result(text) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_get_result(text, boolean) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_cancel_query(text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_error_message(text) RETURNS text LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_get_notify(OUT notify_name text, OUT be_pid integer, OUT extra text) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FUNCTION dblink_get_notify(conname text, OUT notify_name text, OUT be_pid integer, OUT extra text) RETURNS SETOF record LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RAISE EXCEPTION 'a shadow reaches nothing outside: dblink is refused' USING ERRCODE = 'QB001'; END $$;
CREATE FOREIGN DATA WRAPPER dblink_fdw;
GRANT USAGE ON FOREIGN DATA WRAPPER dblink_fdw TO PUBLIC;
