-- What Shardwright's adapter for PostgreSQL needs, for one database; the adapter runs this by itself where its user may
-- create things. By hand: psql --single-transaction --file schema.sql DATABASE, as whoever is to own it; once more does
-- no harm. For another schema, replace the name everywhere. Then, for the user of the nodes:
--   GRANT USAGE ON SCHEMA shardwright TO node;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shardwright TO node;

-- Several nodes may begin at once.
SELECT pg_advisory_xact_lock(8386103181240002407);

DO $$
BEGIN
    IF to_regnamespace('shardwright') IS NULL THEN
        CREATE SCHEMA shardwright;
    END IF;
END
$$;

-- One row for each namespace, which writes leave alone: a row that all of them changed would have as many versions as
-- there were writes since the oldest transaction of the server began. `origin` is where this history is at home: the
-- server's cluster, its timeline, the database and this table. Revisions and times of this history are above `revision`
-- and not before `time`.
CREATE TABLE IF NOT EXISTS shardwright.namespaces (
    namespace text COLLATE "C" PRIMARY KEY,
    format integer NOT NULL,
    history text NOT NULL,
    origin text NOT NULL,
    revision bigint NOT NULL,
    time bigint NOT NULL,
    unsure_before bigint NOT NULL
);

-- Keys compare as bytes; times are milliseconds since the Unix epoch. The last removal of a namespace stays, without a
-- value, since the entry with the greatest revision tells the revision and time of the whole store.
CREATE TABLE IF NOT EXISTS shardwright.entries (
    namespace text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    written bigint NOT NULL,
    value bytea,
    PRIMARY KEY (namespace, key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 500);

-- Values are often sealed, and then cannot be compressed.
ALTER TABLE shardwright.entries ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX IF NOT EXISTS entries_revision ON shardwright.entries (namespace, revision);
CREATE INDEX IF NOT EXISTS entries_removed ON shardwright.entries (namespace) WHERE value IS NULL;

-- The history of a namespace. Begins one, called `fresh`, if there is none, or if the data has come to where
-- acknowledged writes may be missing: with a standby that was promoted, or from a backup. `began` is then `new` or
-- `moved`. Revisions go on far above any that may have been lost.
CREATE OR REPLACE FUNCTION shardwright.open_1(space text, fresh text, OUT life text, OUT began text)
    LANGUAGE plpgsql AS $$
DECLARE
    here text := concat_ws('/',
        (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name('0/1'), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        'shardwright.namespaces'::regclass::oid);
    clock bigint := floor(date_part('epoch', clock_timestamp()) * 1000);
    stored record;
    top bigint;
BEGIN
    IF NOT (has_table_privilege('shardwright.namespaces', 'SELECT')
        AND has_table_privilege('shardwright.namespaces', 'INSERT')
        AND has_table_privilege('shardwright.namespaces', 'UPDATE')
        AND has_table_privilege('shardwright.namespaces', 'DELETE')
        AND has_table_privilege('shardwright.entries', 'SELECT')
        AND has_table_privilege('shardwright.entries', 'INSERT')
        AND has_table_privilege('shardwright.entries', 'UPDATE')
        AND has_table_privilege('shardwright.entries', 'DELETE')) THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for the tables of schema shardwright';
    END IF;
    IF EXISTS (SELECT FROM pg_class c WHERE c.relpersistence <> 'p'
        AND c.oid IN ('shardwright.namespaces'::regclass, 'shardwright.entries'::regclass)) THEN
        RAISE USING ERRCODE = 'SW001',
            MESSAGE = 'a table of schema shardwright is unlogged, so that a crash empties it';
    END IF;
    SELECT * INTO stored FROM shardwright.namespaces n WHERE n.namespace = space;
    IF NOT FOUND OR stored.origin <> here THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(space, 0));
        SELECT max(e.revision), greatest(max(e.written), clock) INTO top, clock
            FROM shardwright.entries e WHERE e.namespace = space;
        SELECT * INTO stored FROM shardwright.namespaces n WHERE n.namespace = space;
        IF NOT FOUND THEN
            INSERT INTO shardwright.namespaces
                VALUES (space, 1, fresh, here, coalesce(top + 1048576, 0), clock,
                    CASE WHEN top IS NULL THEN 0 ELSE clock END)
                RETURNING * INTO stored;
            began := 'new';
        ELSIF stored.origin <> here AND stored.format = 1 THEN
            UPDATE shardwright.namespaces n
                SET history = fresh, origin = here, revision = greatest(n.revision, top) + 1048576,
                    time = greatest(n.time, clock), unsure_before = greatest(n.time, clock)
                WHERE n.namespace = space RETURNING * INTO stored;
            began := 'moved';
        END IF;
    END IF;
    IF stored.format <> 1 THEN
        RAISE USING ERRCODE = 'SW002',
            MESSAGE = format(
                'the namespace is stored in format %s, which a newer release wrote, and this one reads format 1',
                stored.format);
    END IF;
    life := stored.history;
END
$$;

-- One write, or one removal where `body` is null, if `expect` holds: -1 anything, 0 nothing, or the revision that is
-- there. `status` is 0 if it was done, 1 if another entry is there, 2 if none is, 3 if it is another history. Writers
-- of a namespace wait for each other until the commit; each statement then sees what the one before has committed, as
-- long as the isolation is READ COMMITTED. So revisions are in the order of the commits, which a sequence does not
-- promise.
CREATE OR REPLACE FUNCTION shardwright.write_1(space text, life text, name text, body bytea, expect bigint,
    OUT status integer, OUT at_revision bigint, OUT at_time bigint, OUT there bytea) LANGUAGE plpgsql AS $$
DECLARE
    stored_life text;
    stored_key text;
    stored_revision bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(space, 0));
    SELECT n.history, greatest(n.revision, t.revision), greatest(n.time, t.written),
            e.key, CASE WHEN e.value IS NOT NULL THEN e.revision ELSE 0 END
        INTO stored_life, at_revision, at_time, stored_key, stored_revision
        FROM shardwright.namespaces n
        LEFT JOIN LATERAL (SELECT l.revision, l.written FROM shardwright.entries l
            WHERE l.namespace = space ORDER BY l.revision DESC LIMIT 1) t ON true
        LEFT JOIN shardwright.entries e ON e.namespace = space AND e.key = name
        WHERE n.namespace = space;
    IF stored_life IS DISTINCT FROM life THEN
        status := 3;
        RETURN;
    END IF;
    IF expect >= 0 AND expect <> stored_revision THEN
        SELECT 1, e.revision, e.written, e.value INTO status, at_revision, at_time, there
            FROM shardwright.entries e WHERE e.namespace = space AND e.key = name AND e.value IS NOT NULL;
        status := coalesce(status, 2);
        RETURN;
    END IF;
    at_revision := at_revision + 1;
    at_time := greatest(at_time, floor(date_part('epoch', clock_timestamp()) * 1000)::bigint);
    IF body IS NULL THEN
        DELETE FROM shardwright.entries e WHERE e.namespace = space AND e.value IS NULL AND e.key <> name;
    END IF;
    IF stored_key IS NULL THEN
        INSERT INTO shardwright.entries VALUES (space, name, at_revision, at_time, body);
    ELSE
        UPDATE shardwright.entries e SET revision = at_revision, written = at_time, value = body
            WHERE e.namespace = space AND e.key = name;
    END IF;
    status := 0;
END
$$;

-- Removes a namespace; `done` is false, and nothing happens, if it is another history.
CREATE OR REPLACE FUNCTION shardwright.erase_1(space text, life text, OUT done boolean) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(space, 0));
    DELETE FROM shardwright.namespaces n WHERE n.namespace = space AND n.history = life;
    done := FOUND;
    IF done THEN
        DELETE FROM shardwright.entries e WHERE e.namespace = space;
    END IF;
END
$$;
