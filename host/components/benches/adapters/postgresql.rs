//! The PostgreSQL adapter beside `tokio-postgres` with the same statements, prepared.

use crate::common::{self, Failure, KEY, Native, compare};
use bytes::Bytes;
use serde_json::json;
use shardwright_components::adapter::{AdapterComponent, AdapterCoordinator, AdapterEngine, AdapterOptions, Grants};
use shardwright_components::bundled;
use shardwright_coordinator::broker::Password;
use shardwright_servers::PostgresServer;
use tokio_postgres::{Client, NoTls, Statement};

/// As the adapter has it: the state of the store and the entry, in one snapshot.
const GET: &str = "SELECT s.revision, s.now, s.unsure_before, e.revision, e.written, e.value FROM (SELECT \
                   greatest(n.revision, t.revision) AS revision, greatest(n.time, t.written, floor(date_part('epoch', \
                   now()) * 1000)::bigint) AS now, n.unsure_before FROM shardwright.namespaces n LEFT JOIN LATERAL \
                   (SELECT l.revision, l.written FROM shardwright.entries l WHERE l.namespace = $1 ORDER BY \
                   l.revision DESC LIMIT 1) t ON true WHERE n.namespace = $1 AND n.history = $2) s LEFT JOIN \
                   shardwright.entries e ON e.namespace = $1 AND e.key = $3 AND e.value IS NOT NULL";
const PUT: &str = "SELECT status, at_revision, at_time, there FROM shardwright.write_1($1, $2, $3, $4, $5)";

pub(crate) async fn measure(engine: &AdapterEngine, quick: bool) -> Result<(), Failure> {
    let server = PostgresServer::start()?;
    let component = AdapterComponent::load(engine, bundled::POSTGRESQL.bytes.to_vec()).await?;
    let grant = format!("tcp://127.0.0.1:{}", server.port());
    let config = json!({
        "host": "127.0.0.1",
        "port": server.port(),
        "database": server.database(),
        "user": server.user(),
        "password": server.password(),
    });
    let options = AdapterOptions {
        grants: Grants::parse([grant.as_str()])?,
        ..AdapterOptions::new("bench", Password::new(config.to_string()))
    };
    let ours = AdapterCoordinator::open(component, options, common::namespace()?).await?;
    let mut native = Raw::connect(&server.url()).await?;
    compare("PostgreSQL", &ours, &mut native, quick).await
}

/// A native client, in a namespace of its own.
struct Raw {
    client: Client,
    get: Statement,
    put: Statement,
    history: String,
    revision: i64,
}

const SPACE: &str = "native";

impl Raw {
    async fn connect(url: &str) -> Result<Self, Failure> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("SET synchronous_commit = on").await?;
        let history = client
            .query_one("SELECT life FROM shardwright.open_1($1, $2)", &[&SPACE, &"one"])
            .await?
            .get(0);
        Ok(Self {
            get: client.prepare(GET).await?,
            put: client.prepare(PUT).await?,
            client,
            history,
            revision: 0,
        })
    }
}

impl Native for Raw {
    async fn get(&mut self) -> Result<(), Failure> {
        let row = self.client.query_one(&self.get, &[&SPACE, &self.history, &KEY]).await?;
        let value: &[u8] = row.try_get(5)?;
        if value.is_empty() {
            Err("no entry".into())
        } else {
            Ok(())
        }
    }

    async fn put(&mut self, value: &Bytes) -> Result<(), Failure> {
        let value: &[u8] = value;
        let row = self
            .client
            .query_one(&self.put, &[&SPACE, &self.history, &KEY, &value, &self.revision])
            .await?;
        if row.get::<_, i32>(0) != 0 {
            return Err("not done".into());
        }
        self.revision = row.get(1);
        Ok(())
    }
}
