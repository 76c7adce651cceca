//! The HTTP contract behind a real nginx, with its default configuration and with the one in docs/proxies.md.

mod batches;
mod body_sizes;
mod client;
mod cloud_events;
mod connection;
mod events;
mod hang_ups;
mod headers;
mod long_polls;
mod losing_upstream;
mod names;
mod page;
mod retries;
mod server;

use std::{fmt, net::SocketAddrV4};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, RequestBuilder, Response, StatusCode};

use self::server::{Nginx, installed};
use crate::broker::{Broker, http};

/// A route to the broker: directly or through an nginx.
struct Route {
    name: &'static str,
    address: SocketAddrV4,
    http: reqwest::Client,
    _nginx: Option<Nginx>,
}

impl Route {
    fn new(name: &'static str, broker: &Broker, nginx: Option<Nginx>) -> Result<Self> {
        let address = nginx.as_ref().map_or(broker.data, |nginx| nginx.address);
        Ok(Self { name, address, http: http()?, _nginx: nginx })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.address))
    }

    /// Pulls a message, which must be available.
    async fn pull(&self, path_and_query: &str) -> Result<Response> {
        let answer = self.request(Method::GET, path_and_query).send().await?;
        ensure!(answer.status() == StatusCode::OK, "{self}: {answer:?}");
        Ok(answer)
    }

    async fn settle(&self, lease: &str) -> Result<()> {
        let answer = self.request(Method::DELETE, lease).send().await?;
        ensure!(answer.status() == StatusCode::NO_CONTENT, "{self}: {answer:?}");
        Ok(())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// Every route through nginx. By default, older versions of nginx use HTTP/1.0 towards the broker.
async fn nginx_routes(broker: &Broker) -> Result<Vec<Route>> {
    let (default_nginx, over_http_11, documented) = tokio::try_join!(
        Nginx::passing(broker, ""),
        Nginx::passing(broker, "proxy_http_version 1.1;"),
        Nginx::documented(broker),
    )?;
    Ok(vec![
        Route::new("through a default nginx", broker, Some(default_nginx))?,
        Route::new("through a default nginx, over HTTP/1.1", broker, Some(over_http_11))?,
        Route::new("through the documented nginx", broker, Some(documented))?,
    ])
}

/// Every route to a broker: directly, and through nginx.
async fn every_route(broker: &Broker) -> Result<Vec<Route>> {
    let mut routes = vec![Route::new("directly", broker, None)?];
    routes.extend(nginx_routes(broker).await?);
    Ok(routes)
}

fn header(answer: &Response, name: &str) -> Result<String> {
    let value = answer.headers().get(name).with_context(|| format!("no {name} in {answer:?}"))?;
    Ok(value.to_str()?.to_owned())
}
