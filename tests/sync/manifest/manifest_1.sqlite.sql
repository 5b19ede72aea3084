-- A manifest as version 1's tables and code wrote it: two documents that are held, one that is broken.
CREATE TABLE knowledge_indexes ( id INTEGER NOT NULL, name TEXT NOT NULL, store TEXT NOT NULL, embedder TEXT NOT NULL, active BOOLEAN NOT NULL, PRIMARY KEY (id), UNIQUE (name) );
CREATE TABLE knowledge_schema ( version INTEGER NOT NULL, PRIMARY KEY (version) );
CREATE TABLE knowledge_pending ( id TEXT NOT NULL, index_id INTEGER NOT NULL, PRIMARY KEY (id, index_id), FOREIGN KEY(index_id) REFERENCES knowledge_indexes (id) ON DELETE CASCADE ) WITHOUT ROWID;
CREATE TABLE knowledge_sources ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, index_id INTEGER NOT NULL, "key" TEXT NOT NULL, listed_at DOUBLE, error TEXT, UNIQUE (index_id, "key"), FOREIGN KEY(index_id) REFERENCES knowledge_indexes (id) ON DELETE CASCADE );
CREATE TABLE knowledge_documents ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, source_id INTEGER NOT NULL, document TEXT NOT NULL, version TEXT NOT NULL, sha256 TEXT NOT NULL, title TEXT NOT NULL, url TEXT, readers TEXT NOT NULL, read_at DOUBLE NOT NULL, held BOOLEAN NOT NULL, reason TEXT, attempts INTEGER NOT NULL, retry_at DOUBLE NOT NULL, chunks INTEGER NOT NULL, UNIQUE (source_id, document), FOREIGN KEY(source_id) REFERENCES knowledge_sources (id) ON DELETE CASCADE );
CREATE TABLE knowledge_chunks ( id TEXT NOT NULL, index_id INTEGER NOT NULL, document_id INTEGER NOT NULL, place INTEGER NOT NULL, heading TEXT NOT NULL, PRIMARY KEY (id, index_id), FOREIGN KEY(index_id) REFERENCES knowledge_indexes (id) ON DELETE CASCADE, FOREIGN KEY(document_id) REFERENCES knowledge_documents (id) ON DELETE CASCADE ) WITHOUT ROWID;
CREATE INDEX knowledge_chunks_document ON knowledge_chunks (document_id);
INSERT INTO knowledge_schema (version) VALUES (1);
INSERT INTO knowledge_indexes (name, store, embedder, active) VALUES ('kvasir_c99cb5d6500f', 'memory', 'arithmetic', TRUE);
INSERT INTO knowledge_sources (index_id, key, listed_at, error) VALUES (1, 'handbookdict/handbook', 1800000060.0, NULL);
INSERT INTO knowledge_documents (source_id, document, version, sha256, title, url, readers, read_at, held, reason, attempts, retry_at, chunks) VALUES (1, 'b.md', '2', '', '', 'https://handbook.test/b.md', '["*"]', 0.0, TRUE, 'b.md is broken. Mend it.', 1, 1800000300.0, 0);
INSERT INTO knowledge_documents (source_id, document, version, sha256, title, url, readers, read_at, held, reason, attempts, retry_at, chunks) VALUES (1, 'a.md', '1', 'f1687a1c91e7dabb67da04e90073a106ff7ad470212e3c98986afd56472abef8', 'a.md', 'https://handbook.test/a.md', '["*"]', 1800000000.0, TRUE, NULL, 0, 0.0, 2);
INSERT INTO knowledge_documents (source_id, document, version, sha256, title, url, readers, read_at, held, reason, attempts, retry_at, chunks) VALUES (1, 'c.md', '3', '8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f', 'c.md', 'https://handbook.test/c.md', '["*"]', 1800000000.0, TRUE, NULL, 0, 0.0, 1);
INSERT INTO knowledge_chunks (id, index_id, document_id, place, heading) VALUES ('2760e7d7-5136-5d63-b273-58c9b221448c', 1, 2, 0, '');
INSERT INTO knowledge_chunks (id, index_id, document_id, place, heading) VALUES ('2ee3ae67-e2b3-58e4-afb6-cdb78cb0995a', 1, 2, 1, '');
INSERT INTO knowledge_chunks (id, index_id, document_id, place, heading) VALUES ('689698de-f437-5b85-80f3-64206b6c63b7', 1, 3, 0, '');
INSERT INTO knowledge_pending (id, index_id) VALUES ('0000', 1);
