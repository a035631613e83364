-- The roles of a PostgreSQL warehouse with no more rights than they need. docs/postgres.md tells how to run this file with psql;
-- it may be run again. Who runs it owns the database, or is a superuser.
--
--   goalkeeper_loader       brings raw data in; sees nothing else             POSTGRES_LOADER_USER
--   goalkeeper_transformer  builds, measures and publishes                    POSTGRES_USER
--   goalkeeper_reader       reads what is published; grant it to people and tools

do $$
begin
    if to_regrole('goalkeeper_loader') is null then
        create role goalkeeper_loader login;
    end if;
    if to_regrole('goalkeeper_transformer') is null then
        create role goalkeeper_transformer login;
    end if;
    if to_regrole('goalkeeper_reader') is null then
        create role goalkeeper_reader nologin;
    end if;
    -- who is no superuser must be allowed to act for them, to make schemas that are theirs
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant goalkeeper_loader, goalkeeper_transformer to current_user with inherit true, set true;
    end if;

    -- the database: nobody else comes in, and nobody but its owner makes schemas
    execute format('revoke all on database %I from public', current_database());
    execute format(
        'grant connect on database %I to goalkeeper_loader, goalkeeper_transformer, goalkeeper_reader', current_database()
    );
    -- dbt compares in temporary tables
    execute format('grant temporary on database %I to goalkeeper_transformer', current_database());
end
$$;

-- one schema for each source, raw_<name>: add your own here, in all four places
create schema if not exists raw_s3 authorization goalkeeper_loader;
create schema if not exists raw_postgres authorization goalkeeper_loader;
create schema if not exists raw_api authorization goalkeeper_loader;
grant usage on schema raw_s3, raw_postgres, raw_api to goalkeeper_transformer;
-- it reads the raw records, and removes those that newer ones have replaced
alter default privileges for role goalkeeper_loader in schema raw_s3, raw_postgres, raw_api
grant select, update, delete on tables to goalkeeper_transformer;
grant select, update, delete on all tables in schema raw_s3, raw_postgres, raw_api to goalkeeper_transformer;

-- what is built, and what is published
create schema if not exists seeds authorization goalkeeper_transformer;
create schema if not exists staging authorization goalkeeper_transformer;
create schema if not exists intermediate authorization goalkeeper_transformer;
create schema if not exists day_partitions authorization goalkeeper_transformer;
create schema if not exists quarantine authorization goalkeeper_transformer;
create schema if not exists quality authorization goalkeeper_transformer;
create schema if not exists analytics authorization goalkeeper_transformer;
create schema if not exists metadata authorization goalkeeper_transformer;

-- readers see what is published, whatever day it is: partitions are read by way of their table
grant usage on schema analytics, quality, quarantine, metadata to goalkeeper_reader;
alter default privileges for role goalkeeper_transformer in schema analytics, quality, quarantine, metadata
grant select on tables to goalkeeper_reader;
grant select on all tables in schema analytics, quality, quarantine, metadata to goalkeeper_reader;
