-- Signatures and volatility of pgcrypto; values of the right length and form, no cryptography.
CREATE FUNCTION digest(text, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT CASE lower($2)
    WHEN 'md5' THEN decode(md5($1), 'hex')
    WHEN 'sha224' THEN sha224(convert_to($1, 'UTF8'))
    WHEN 'sha384' THEN sha384(convert_to($1, 'UTF8'))
    WHEN 'sha512' THEN sha512(convert_to($1, 'UTF8'))
    WHEN 'sha1' THEN substr(sha256(convert_to($1, 'UTF8')), 1, 20)
    ELSE sha256(convert_to($1, 'UTF8')) END $$;
CREATE FUNCTION digest(bytea, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT CASE lower($2)
    WHEN 'md5' THEN decode(md5($1), 'hex')
    WHEN 'sha224' THEN sha224($1)
    WHEN 'sha384' THEN sha384($1)
    WHEN 'sha512' THEN sha512($1)
    WHEN 'sha1' THEN substr(sha256($1), 1, 20)
    ELSE sha256($1) END $$;
CREATE FUNCTION hmac(text, text, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT CASE lower($3)
    WHEN 'md5' THEN decode(md5($2 || $1), 'hex')
    WHEN 'sha224' THEN sha224(convert_to($2 || $1, 'UTF8'))
    WHEN 'sha384' THEN sha384(convert_to($2 || $1, 'UTF8'))
    WHEN 'sha512' THEN sha512(convert_to($2 || $1, 'UTF8'))
    WHEN 'sha1' THEN substr(sha256(convert_to($2 || $1, 'UTF8')), 1, 20)
    ELSE sha256(convert_to($2 || $1, 'UTF8')) END $$;
CREATE FUNCTION hmac(bytea, bytea, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT CASE lower($3)
    WHEN 'md5' THEN decode(md5($2 || $1), 'hex')
    WHEN 'sha224' THEN sha224($2 || $1)
    WHEN 'sha384' THEN sha384($2 || $1)
    WHEN 'sha512' THEN sha512($2 || $1)
    WHEN 'sha1' THEN substr(sha256($2 || $1), 1, 20)
    ELSE sha256($2 || $1) END $$;

CREATE FUNCTION gen_random_bytes(integer) RETURNS bytea LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE
AS $$ DECLARE made bytea := ''; BEGIN
    IF $1 < 1 OR $1 > 1024 THEN
        RAISE EXCEPTION 'Length not in range' USING ERRCODE = 'external_routine_invocation_exception';
    END IF;
    WHILE length(made) < $1 LOOP made := made || uuid_send(gen_random_uuid()); END LOOP;
    RETURN substr(made, 1, $1);
END $$;
CREATE FUNCTION gen_random_uuid() RETURNS uuid LANGUAGE internal VOLATILE PARALLEL SAFE
AS 'gen_random_uuid';

CREATE FUNCTION gen_salt(text) RETURNS text LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE
AS $$ BEGIN RETURN CASE $1 WHEN 'bf' THEN '$2a$06$' WHEN 'md5' THEN '$1$' ELSE '' END
    || substr(translate(encode(uuid_send(gen_random_uuid()), 'base64'), '+/=', 'abc'), 1,
              CASE $1 WHEN 'bf' THEN 22 WHEN 'md5' THEN 8 ELSE 2 END); END $$;
CREATE FUNCTION gen_salt(text, integer) RETURNS text LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE
AS $$ BEGIN RETURN CASE $1 WHEN 'bf' THEN '$2a$' || lpad($2::text, 2, '0') || '$'
                           WHEN 'md5' THEN '$1$' ELSE '' END
    || substr(translate(encode(uuid_send(gen_random_uuid()), 'base64'), '+/=', 'abc'), 1,
              CASE $1 WHEN 'bf' THEN 22 WHEN 'md5' THEN 8 ELSE 2 END); END $$;
CREATE FUNCTION crypt(text, text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT CASE WHEN $2 LIKE '$2_$%' THEN substr($2, 1, 29) || substr(md5($1 || substr($2, 1, 29)), 1, 31)
    WHEN $2 LIKE '$1$%' THEN substr($2, 1, 12) || substr(md5($1 || substr($2, 1, 12)), 1, 22)
    ELSE substr($2, 1, 2) || substr(md5($1 || substr($2, 1, 2)), 1, 11) END $$;

-- what is encrypted comes back when it is decrypted; that is all
CREATE FUNCTION encrypt(bytea, bytea, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT $1 || substr(sha256($2), 1, 16) $$;
CREATE FUNCTION decrypt(bytea, bytea, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT substr($1, 1, greatest(length($1) - 16, 0)) $$;
CREATE FUNCTION encrypt_iv(bytea, bytea, bytea, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT $1 || substr(sha256($2 || $3), 1, 16) $$;
CREATE FUNCTION decrypt_iv(bytea, bytea, bytea, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT substr($1, 1, greatest(length($1) - 16, 0)) $$;

CREATE FUNCTION pgp_sym_encrypt(text, text) RETURNS bytea LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE
AS $$ BEGIN RETURN convert_to($1, 'UTF8') || uuid_send(gen_random_uuid()); END $$;
CREATE FUNCTION pgp_sym_encrypt(text, text, text) RETURNS bytea LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE
AS $$ BEGIN RETURN convert_to($1, 'UTF8') || uuid_send(gen_random_uuid()); END $$;
CREATE FUNCTION pgp_sym_encrypt_bytea(bytea, text) RETURNS bytea LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE
AS $$ BEGIN RETURN $1 || uuid_send(gen_random_uuid()); END $$;
CREATE FUNCTION pgp_sym_encrypt_bytea(bytea, text, text) RETURNS bytea LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE
AS $$ BEGIN RETURN $1 || uuid_send(gen_random_uuid()); END $$;
CREATE FUNCTION pgp_sym_decrypt(bytea, text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT convert_from(substr($1, 1, greatest(length($1) - 16, 0)), 'UTF8') $$;
CREATE FUNCTION pgp_sym_decrypt(bytea, text, text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT convert_from(substr($1, 1, greatest(length($1) - 16, 0)), 'UTF8') $$;
CREATE FUNCTION pgp_sym_decrypt_bytea(bytea, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT substr($1, 1, greatest(length($1) - 16, 0)) $$;
CREATE FUNCTION pgp_sym_decrypt_bytea(bytea, text, text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT substr($1, 1, greatest(length($1) - 16, 0)) $$;
CREATE FUNCTION pgp_pub_encrypt(text, bytea) RETURNS bytea LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE
AS $$ BEGIN RETURN convert_to($1, 'UTF8') || uuid_send(gen_random_uuid()); END $$;
CREATE FUNCTION pgp_pub_decrypt(bytea, bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT convert_from(substr($1, 1, greatest(length($1) - 16, 0)), 'UTF8') $$;
CREATE FUNCTION pgp_pub_decrypt(bytea, bytea, text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT convert_from(substr($1, 1, greatest(length($1) - 16, 0)), 'UTF8') $$;
CREATE FUNCTION pgp_key_id(bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT upper(substr(encode(sha256($1), 'hex'), 1, 16)) $$;
CREATE FUNCTION armor(bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT encode($1, 'base64') $$;
CREATE FUNCTION dearmor(text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT decode($1, 'base64') $$;
