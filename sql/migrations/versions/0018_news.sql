-- Articles are stored once, whatever identity their sources give them, with all sightings, versions and links; feeds have
-- a state. docs/decisions/0062-one-article-once.md has the reasons.

-- A GUID may be used again for another article: news.identities says which article an identity means.
ALTER TABLE news.raw_news DROP CONSTRAINT raw_news_source_external_id_key;
CREATE INDEX raw_news_source_external_id ON news.raw_news (source, external_id);
ALTER TABLE news.raw_news
    ADD COLUMN version      INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
    ADD COLUMN available_at TIMESTAMPTZ GENERATED ALWAYS AS (GREATEST(first_seen_at, published_at)) STORED,
    ADD COLUMN duplicate_of UUID REFERENCES news.raw_news (id),
    ADD COLUMN signature    BYTEA CHECK (octet_length(signature) <= 1024),
    ADD COLUMN bands        BIGINT[];
CREATE INDEX raw_news_available_at ON news.raw_news (available_at);
-- Without its list of pending entries, which each search would read whole for each band.
CREATE INDEX raw_news_bands ON news.raw_news USING gin (bands) WITH (fastupdate = off);
COMMENT ON TABLE news.raw_news IS 'Articles, each once, with the text of their newest version';
COMMENT ON COLUMN news.raw_news.id IS 'Id of the article';
COMMENT ON COLUMN news.raw_news.source IS 'Source that showed it first: a feed, NewsAPI, or a file';
COMMENT ON COLUMN news.raw_news.external_id IS 'That source''s id of it: its GUID, else its URL, else a hash of title and date';
COMMENT ON COLUMN news.raw_news.version IS 'Number of its newest version';
COMMENT ON COLUMN news.raw_news.available_at IS 'From when its first version may be used: the later of first_seen_at and published_at';
COMMENT ON COLUMN news.raw_news.duplicate_of IS 'The earlier article that it nearly repeats, as syndicated texts do; NULL: none';
COMMENT ON COLUMN news.raw_news.signature IS 'MinHash of its first text; NULL where that is too short';
COMMENT ON COLUMN news.raw_news.bands IS 'Hashes of the bands of the signature; articles that share one are compared';
COMMENT ON COLUMN news.raw_news.symbols IS 'Instruments that its newest version is about; news.links has the evidence';
COMMENT ON COLUMN news.raw_news.published_at IS 'Time of publication as its source first stated it; may be wrong or missing';

CREATE TABLE news.versions (
    news_id       UUID NOT NULL REFERENCES news.raw_news (id),
    version       INTEGER NOT NULL CHECK (version >= 1),
    source        VARCHAR(50) NOT NULL,
    title         TEXT NOT NULL,
    summary       TEXT,
    content       TEXT,
    text_hash     BYTEA NOT NULL CHECK (octet_length(text_hash) = 16),
    published_at  TIMESTAMPTZ,
    first_seen_at TIMESTAMPTZ NOT NULL,
    available_at  TIMESTAMPTZ GENERATED ALWAYS AS (GREATEST(first_seen_at, published_at)) STORED,
    linked_by     VARCHAR(40),
    scored_by     VARCHAR(120),
    PRIMARY KEY (news_id, version)
);
CREATE INDEX versions_available_at ON news.versions (available_at);
CREATE INDEX versions_linked_by ON news.versions (linked_by);
CREATE INDEX versions_scored_by ON news.versions (scored_by);
COMMENT ON TABLE news.versions IS 'What an article said, from when on; an edited text is a further version';
COMMENT ON COLUMN news.versions.news_id IS 'Id of the article';
COMMENT ON COLUMN news.versions.version IS 'Number of the version, from 1';
COMMENT ON COLUMN news.versions.source IS 'Source that showed it';
COMMENT ON COLUMN news.versions.title IS 'Headline';
COMMENT ON COLUMN news.versions.summary IS 'Summary by the source';
COMMENT ON COLUMN news.versions.content IS 'Full text, if the source provides it';
COMMENT ON COLUMN news.versions.text_hash IS 'Identifies title, summary and content';
COMMENT ON COLUMN news.versions.published_at IS 'Time of publication as its source stated it then; may be wrong or missing';
COMMENT ON COLUMN news.versions.first_seen_at IS 'When the platform received it';
COMMENT ON COLUMN news.versions.available_at IS 'From when it may be used: the later of first_seen_at and published_at';
COMMENT ON COLUMN news.versions.linked_by IS 'Rules and dictionary by which it was linked to instruments; NULL: not yet';
COMMENT ON COLUMN news.versions.scored_by IS 'Model and revision by which its sentiment was last computed, if it is about any instrument; NULL: not yet';

CREATE TABLE news.identities (
    identity BYTEA PRIMARY KEY CHECK (octet_length(identity) = 16),
    news_id  UUID REFERENCES news.raw_news (id)
);
CREATE INDEX identities_news_id ON news.identities (news_id);
COMMENT ON TABLE news.identities IS 'By what articles are recognised: hashes of GUID, canonical URL, and title with date';
COMMENT ON COLUMN news.identities.identity IS 'The hash';
COMMENT ON COLUMN news.identities.news_id IS 'The article; NULL: different articles share it, so it identifies none';

CREATE TABLE news.sightings (
    news_id       UUID NOT NULL REFERENCES news.raw_news (id),
    source        VARCHAR(50) NOT NULL,
    sighting      BYTEA NOT NULL CHECK (octet_length(sighting) = 16),
    guid          TEXT,
    url           TEXT,
    text_hash     BYTEA NOT NULL CHECK (octet_length(text_hash) = 16),
    published_at  TIMESTAMPTZ,
    first_seen_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (news_id, source, sighting)
);
COMMENT ON TABLE news.sightings IS 'Where and when an article was seen: once for each source, GUID, page and text';
COMMENT ON COLUMN news.sightings.news_id IS 'Id of the article';
COMMENT ON COLUMN news.sightings.source IS 'The feed, NewsAPI, or the file';
COMMENT ON COLUMN news.sightings.sighting IS 'Identifies GUID, page and text';
COMMENT ON COLUMN news.sightings.guid IS 'The source''s id of it';
COMMENT ON COLUMN news.sightings.url IS 'URL of the full text';
COMMENT ON COLUMN news.sightings.text_hash IS 'Identifies the text that the source showed';
COMMENT ON COLUMN news.sightings.published_at IS 'Time of publication according to the source; may be wrong or missing';
COMMENT ON COLUMN news.sightings.first_seen_at IS 'When the platform first saw this';

CREATE TABLE news.links (
    news_id   UUID NOT NULL,
    version   INTEGER NOT NULL,
    symbol    VARCHAR(20) NOT NULL CHECK (symbol ~ '^[A-Z0-9][A-Z0-9.-]*$'),
    rule      VARCHAR(20) NOT NULL CHECK (rule IN ('exchange', 'cashtag', 'name', 'ticker')),
    evidence  TEXT NOT NULL,
    position  INTEGER NOT NULL CHECK (position >= 0),
    linked_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (news_id, version, symbol),
    FOREIGN KEY (news_id, version) REFERENCES news.versions (news_id, version)
);
CREATE INDEX links_symbol ON news.links (symbol, news_id);
COMMENT ON TABLE news.links IS 'Which instruments a version of an article is about, with the evidence';
COMMENT ON COLUMN news.links.news_id IS 'Id of the article';
COMMENT ON COLUMN news.links.version IS 'Its version';
COMMENT ON COLUMN news.links.symbol IS 'Instrument, in the platform''s spelling';
COMMENT ON COLUMN news.links.rule IS 'Rule that applied: exchange (NYSE: CCL), cashtag ($CCL), name (Carnival), ticker (CCL)';
COMMENT ON COLUMN news.links.evidence IS 'The words of the text by which it applied';
COMMENT ON COLUMN news.links.position IS 'Where they begin: characters of title, line break and summary before them';
COMMENT ON COLUMN news.links.linked_at IS 'When it was linked';

CREATE TABLE news.aliases (
    symbol   VARCHAR(20) NOT NULL CHECK (symbol ~ '^[A-Z0-9][A-Z0-9.-]*$'),
    alias    TEXT NOT NULL CHECK (alias <> ''),
    added_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (symbol, alias)
);
COMMENT ON TABLE news.aliases IS 'A user''s own names of instruments in texts';
COMMENT ON COLUMN news.aliases.symbol IS 'Instrument, in the platform''s spelling';
COMMENT ON COLUMN news.aliases.alias IS 'Name by which texts call it';
COMMENT ON COLUMN news.aliases.added_at IS 'When it was added';

-- A score is of a version of a text, by a revision of a model.
ALTER TABLE news.news_sentiment
    ADD COLUMN version  INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
    ADD COLUMN revision VARCHAR(64) NOT NULL DEFAULT '',
    ADD COLUMN engine   VARCHAR(20) NOT NULL DEFAULT '';
ALTER TABLE news.news_sentiment DROP CONSTRAINT news_sentiment_pkey;
ALTER TABLE news.news_sentiment ADD PRIMARY KEY (news_id, version, symbol, model, revision);
COMMENT ON TABLE news.news_sentiment IS 'Sentiment of a version of an article that is about a symbol, by model';
COMMENT ON COLUMN news.news_sentiment.news_id IS 'Id of the article';
COMMENT ON COLUMN news.news_sentiment.version IS 'Its version';
COMMENT ON COLUMN news.news_sentiment.model IS 'Name of the model';
COMMENT ON COLUMN news.news_sentiment.revision IS 'Revision of the model: a hash of its weights, or the one of its publisher';
COMMENT ON COLUMN news.news_sentiment.engine IS 'What computed it, for example numpy or onnx';
COMMENT ON COLUMN news.news_sentiment.classified_at IS 'When it was classified; reads as of a time use the availability of the version, because the same text gets the same score at any time';

CREATE TABLE news.feeds (
    name          VARCHAR(50) PRIMARY KEY CHECK (name <> ''),
    url           TEXT NOT NULL UNIQUE,
    added_at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    is_enabled    BOOLEAN NOT NULL DEFAULT TRUE,
    title         TEXT,
    etag          TEXT,
    last_modified TEXT,
    fetched_at    TIMESTAMPTZ,
    due_at        TIMESTAMPTZ,
    new_at        TIMESTAMPTZ,
    status        VARCHAR(20) NOT NULL DEFAULT 'new'
                  CHECK (status IN ('new', 'ok', 'not_modified', 'failed')),
    error         TEXT,
    failures      INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    fetches       BIGINT NOT NULL DEFAULT 0 CHECK (fetches >= 0),
    not_modified  BIGINT NOT NULL DEFAULT 0 CHECK (not_modified >= 0),
    failed        BIGINT NOT NULL DEFAULT 0 CHECK (failed >= 0)
);
COMMENT ON TABLE news.feeds IS 'The feeds that news are fetched from, and how the last fetch ended';
COMMENT ON COLUMN news.feeds.name IS 'Name of the feed, the source of its articles';
COMMENT ON COLUMN news.feeds.url IS 'Address of the feed';
COMMENT ON COLUMN news.feeds.added_at IS 'When it was added';
COMMENT ON COLUMN news.feeds.is_enabled IS 'Whether it is fetched';
COMMENT ON COLUMN news.feeds.title IS 'Title that it gives itself';
COMMENT ON COLUMN news.feeds.etag IS 'ETag of the last response, sent back so that an unchanged feed is not sent again';
COMMENT ON COLUMN news.feeds.last_modified IS 'Last-Modified of the last response, sent back for the same reason';
COMMENT ON COLUMN news.feeds.fetched_at IS 'When it was last fetched';
COMMENT ON COLUMN news.feeds.due_at IS 'Before this time it is not fetched again; NULL: at once';
COMMENT ON COLUMN news.feeds.new_at IS 'When it last had a new article';
COMMENT ON COLUMN news.feeds.status IS 'How the last fetch ended: new (never fetched), ok, not_modified or failed';
COMMENT ON COLUMN news.feeds.error IS 'Why it failed';
COMMENT ON COLUMN news.feeds.failures IS 'Failures one after the other, up to now';
COMMENT ON COLUMN news.feeds.fetches IS 'Number of all fetches';
COMMENT ON COLUMN news.feeds.not_modified IS 'Number of those without a change (304)';
COMMENT ON COLUMN news.feeds.failed IS 'Number of those that failed';

-- What every reader can read, as for the other tables.
ALTER TABLE news.raw_news ADD CONSTRAINT raw_news_available_readable CHECK (
    available_at >= '0001-01-01 00:00:00+00' AND available_at < '10000-01-01 00:00:00+00');
ALTER TABLE news.versions ADD CONSTRAINT versions_readable CHECK (
    octet_length(title) <= 1000000 AND octet_length(summary) <= 1000000 AND octet_length(content) <= 1000000
    AND published_at >= '0001-01-01 00:00:00+00' AND published_at < '10000-01-01 00:00:00+00'
    AND first_seen_at >= '0001-01-01 00:00:00+00' AND first_seen_at < '10000-01-01 00:00:00+00'
    AND available_at >= '0001-01-01 00:00:00+00' AND available_at < '10000-01-01 00:00:00+00');
ALTER TABLE news.sightings ADD CONSTRAINT sightings_readable CHECK (
    octet_length(guid) <= 1000000 AND octet_length(url) <= 1000000
    AND published_at >= '0001-01-01 00:00:00+00' AND published_at < '10000-01-01 00:00:00+00'
    AND first_seen_at >= '0001-01-01 00:00:00+00' AND first_seen_at < '10000-01-01 00:00:00+00');
ALTER TABLE news.links ADD CONSTRAINT links_readable CHECK (
    octet_length(evidence) <= 1000000
    AND linked_at >= '0001-01-01 00:00:00+00' AND linked_at < '10000-01-01 00:00:00+00');
ALTER TABLE news.aliases ADD CONSTRAINT aliases_readable CHECK (
    octet_length(alias) <= 1000000
    AND added_at >= '0001-01-01 00:00:00+00' AND added_at < '10000-01-01 00:00:00+00');
ALTER TABLE news.feeds ADD CONSTRAINT feeds_readable CHECK (
    octet_length(url) <= 1000000 AND octet_length(title) <= 1000000 AND octet_length(etag) <= 1000000
    AND octet_length(last_modified) <= 1000000 AND octet_length(error) <= 1000000
    AND added_at >= '0001-01-01 00:00:00+00' AND added_at < '10000-01-01 00:00:00+00'
    AND fetched_at >= '0001-01-01 00:00:00+00' AND fetched_at < '10000-01-01 00:00:00+00'
    AND due_at >= '0001-01-01 00:00:00+00' AND due_at < '10000-01-01 00:00:00+00'
    AND new_at >= '0001-01-01 00:00:00+00' AND new_at < '10000-01-01 00:00:00+00');
DO $$ BEGIN PERFORM config.grant_roles(); END $$;
