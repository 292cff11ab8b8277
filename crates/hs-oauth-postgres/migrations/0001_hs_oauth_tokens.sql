create table if not exists hs_oauth_tokens (
    hub_id bigint not null,
    -- 0 for an account that is a whole hub.
    user_id bigint not null default 0,
    -- Grows with every write. It outlives the record, so that it never comes back.
    version bigint not null check (version between 1 and 9007199254740992),
    -- Null once the account was removed. Not jsonb, which does not keep every field as it was written.
    record json,
    primary key (hub_id, user_id)
) with (fillfactor = 70);

-- Keeps records of up to 8 kB in their rows. Elsewhere (TOAST), each update of a record of 3 kB would leave a dead one behind: 400,000 updates
-- of 40,000 such records took the table from 162 MB to 1,281 MB, and from 312 MB to 317 MB so.
alter table hs_oauth_tokens alter column record set storage main;

comment on table hs_oauth_tokens is 'hs-oauth schema 1';
