CREATE TABLE bot_news (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    team VARCHAR(32) NOT NULL,
    channel VARCHAR(32) NOT NULL,
    root VARCHAR(32) NOT NULL,
    what VARCHAR(16) NOT NULL,
    event_ts VARCHAR(32) NOT NULL,
    noted_at FLOAT NOT NULL
);

CREATE INDEX bot_news_team ON bot_news (team, id);

CREATE TABLE bot_threads (
    team VARCHAR(32) NOT NULL,
    channel VARCHAR(32) NOT NULL,
    thread_ts VARCHAR(32) NOT NULL,
    last_at FLOAT NOT NULL,
    PRIMARY KEY (team, channel, thread_ts)
);

CREATE TABLE bot_turns (
    id INTEGER NOT NULL,
    team VARCHAR(32) NOT NULL,
    channel VARCHAR(32) NOT NULL,
    ts VARCHAR(32) NOT NULL,
    thread_ts VARCHAR(32) NOT NULL,
    user VARCHAR(32) NOT NULL,
    direct BOOLEAN NOT NULL,
    files INTEGER NOT NULL,
    text TEXT NOT NULL,
    state VARCHAR(16) NOT NULL,
    revision INTEGER NOT NULL,
    replies TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    owner VARCHAR(200) NOT NULL,
    lease_until FLOAT NOT NULL,
    error VARCHAR(200) NOT NULL,
    created_at FLOAT NOT NULL,
    updated_at FLOAT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT bot_turns_message UNIQUE (team, channel, ts)
);

CREATE INDEX bot_turns_state ON bot_turns (state, owner);

CREATE INDEX bot_turns_thread ON bot_turns (team, channel, thread_ts);

CREATE TABLE bot_watches (
    id INTEGER NOT NULL,
    team VARCHAR(32) NOT NULL,
    began FLOAT NOT NULL,
    seen FLOAT NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE bot_wishes (
    team VARCHAR(32) NOT NULL,
    user VARCHAR(32) NOT NULL,
    think VARCHAR(16) NOT NULL,
    updated_at FLOAT NOT NULL,
    PRIMARY KEY (team, user)
);

INSERT INTO bot_turns (team, channel, ts, thread_ts, "user", direct, files, text, state, revision, replies, attempts, owner, lease_until, error, created_at, updated_at) VALUES ('T1', 'C1', '100.1', '100.1', 'U1', TRUE, 2, 'how many days? 几天?', 'answering', 1, '["100.2", "100.3"]', 2, 'elsewhere|1|1.00|x', 0.0, '', 1000.0, 1001.5);
INSERT INTO bot_turns (team, channel, ts, thread_ts, "user", direct, files, text, state, revision, replies, attempts, owner, lease_until, error, created_at, updated_at) VALUES ('T1', 'C1', '90.1', '80.1', 'U2', FALSE, 0, 'and pay?', 'done', 0, '["90.2"]', 1, 'elsewhere|1|1.00|x', 0.0, '', 900.0, 901.0);
INSERT INTO bot_threads (team, channel, thread_ts, last_at) VALUES ('T1', 'C1', '100.1', 1000.0);
INSERT INTO bot_wishes (team, "user", think, updated_at) VALUES ('T1', 'U1', 'deep', 1000.0);
INSERT INTO bot_news (team, channel, root, what, event_ts, noted_at) VALUES ('T1', 'C1', '100.1', 'said', '100.1', 1000.0);
INSERT INTO bot_watches (team, began, seen) VALUES ('T1', 900.0, 1000.0);
