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

comment on table hs_oauth_tokens is 'hs-oauth schema 1';
