//! RabbitMQ: a quorum queue of one member, with publisher confirms.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use restante_tests::process::Process;

use crate::{
    broker::http::message_body,
    load::{Work, block_on},
    server::{Server, free_ports, pinned},
};

const QUEUE: &str = "bench";

/// Starts RabbitMQ on a folder. Erlang's nodes find each other through a server called epmd, which would outlive them,
/// so this node gets an epmd of its own.
pub(crate) fn start(installed: &Path, folder: &Path) -> Result<Server> {
    let [address, distribution, names] = free_ports()?;
    let home = folder.join("home");
    fs::create_dir_all(&home)?;
    let mut epmd = Command::new("epmd");
    epmd.args(["-address", "127.0.0.1", "-port", &names.port().to_string()]);
    let epmd = Process::start("epmd", &epmd, &folder.join("epmd.log"))?;

    let config = folder.join("rabbitmq.conf");
    // With the default limit, a lack of disk space would block publishers.
    fs::write(
        &config,
        "listeners.tcp.1 = ".to_owned() + &address.to_string() + "\ndisk_free_limit.absolute = 50MB\n",
    )?;
    let mut command = pinned(&installed.join("bin/rabbitmq-server"));
    command
        .env("HOME", &home)
        // Makes the process the server itself, not a shell that waits for it.
        .env("RUNNING_UNDER_SYSTEMD", "true")
        .env("ERL_EPMD_PORT", names.port().to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_DIST_PORT", distribution.port().to_string())
        .env("RABBITMQ_NODENAME", format!("bench{}@localhost", address.port()))
        .env("RABBITMQ_CONFIG_FILE", &config)
        .env("RABBITMQ_CONF_ENV_FILE", folder.join("none"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
        .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
        .env("RABBITMQ_LOG_BASE", folder.join("logs"))
        .env("RABBITMQ_PID_FILE", folder.join("pid"));
    let mut server = Server::start("rabbitmq-server", &command, folder, address)?;
    server.helped_by(epmd);
    block_on(declare(address))?;
    server.wait_until_idle()?;
    Ok(server)
}

/// The version of an installation, from the name of its folder.
pub(super) fn version(installed: &Path) -> Option<String> {
    let mut folders = fs::read_dir(installed.join("lib")).ok()?.flatten();
    folders.find_map(|folder| Some(folder.file_name().to_str()?.strip_prefix("rabbitmq_server-")?.to_owned()))
}

async fn connect(server: SocketAddr) -> Result<(Connection, Channel)> {
    let connection = Connection::connect(&format!("amqp://{server}/%2f"), ConnectionProperties::default())
        .await
        .context("cannot reach RabbitMQ")?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn declare(server: SocketAddr) -> Result<()> {
    let (_connection, channel) = connect(server).await?;
    let mut arguments = FieldTable::default();
    arguments.insert(ShortString::from("x-queue-type"), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), options, arguments).await?;
    Ok(())
}

/// Publishes a message and waits for its confirm.
pub(crate) struct Push {
    pub(crate) server: SocketAddr,
}

/// A client with its own connection and channel.
pub(crate) struct Publisher {
    _connection: Connection,
    channel: Channel,
    body: Vec<u8>,
}

impl Work for Push {
    type Client = Publisher;

    async fn begin(&self) -> Result<Publisher> {
        let (connection, channel) = connect(self.server).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Publisher { _connection: connection, channel, body: message_body() })
    }

    async fn once(&self, Publisher { channel, body, .. }: &mut Publisher) -> Result<()> {
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let confirm =
            channel.basic_publish("".into(), QUEUE.into(), options, body, persistent).await?.await?;
        ensure!(confirm.is_ack(), "RabbitMQ did not confirm a message: {confirm:?}");
        Ok(())
    }
}
