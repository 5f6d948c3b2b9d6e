//! Requests to a camera, with the user's password.

use std::sync::Arc;
use std::time::Duration;

use http_auth::{PasswordClient, PasswordParams};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};

use super::Address;
use super::tls::{Pinned, PinnedTls};
use super::trust::{self, Known};
use crate::error::{Error, Result};

/// A camera that has the whole package takes minutes to unpack it.
const ANSWER: Duration = Duration::from_secs(300);
/// More than any answer that is waited for here.
const LONGEST: u64 = 16 << 20;

/// A user of the camera.
#[derive(Clone)]
pub struct Login {
    /// The user's name; it must be an administrator.
    pub user: String,
    /// The password.
    pub password: String,
}

/// An answer of the camera.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The text.
    pub text: String,
}

/// What is sent with a request: its content type and bytes.
pub type Body<'a> = (&'a str, &'a [u8]);

/// A camera that is talked to.
pub struct Client {
    address: Address,
    login: Login,
    agent: ureq::Agent,
    /// The camera's last challenge: with it the next request needs not be made twice.
    challenge: Option<PasswordClient>,
}

fn agent(pinned: &Arc<Pinned>) -> Result<ureq::Agent> {
    let config = ureq::Agent::config_builder()
        // A camera is in the same network, as a rule; and nobody between is to have its password.
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_resolve(Some(Duration::from_secs(10)))
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(ANSWER))
        .user_agent(concat!("spotter-package/", env!("CARGO_PKG_VERSION")))
        .build();
    let tls = PinnedTls::new(pinned).map_err(|error| Error::new(format!("TLS cannot be used ({error})")))?;
    let connector = ().chain(TcpConnector::default()).chain(tls);
    Ok(ureq::Agent::with_parts(config, connector, DefaultResolver::default()))
}

impl Client {
    /// Makes acquaintance with a camera: over https its certificate must be `fingerprint`, or the one that is known
    /// for it, or the user is asked.
    ///
    /// # Errors
    /// Where the camera cannot be reached, or its certificate is not to be trusted.
    pub fn connect(address: Address, login: Login, fingerprint: Option<&str>, known: &Known) -> Result<Self> {
        let mut expected = match fingerprint {
            Some(given) => Some(given.to_ascii_uppercase()),
            None => known.fingerprint(&address)?,
        };
        if !address.https {
            eprintln!("warning: {address} is not encrypted: others in the network can read what is sent");
        }
        let mut client = Self { agent: agent(&Pinned::new(None))?, address, login, challenge: None };
        if !client.address.https {
            return Ok(client);
        }
        // At most twice: once to see the certificate, once with it.
        loop {
            let pinned = Pinned::new(expected.clone());
            client.agent = agent(&pinned)?;
            let Err(error) = client.send("GET", "/", None, None) else { break };
            match (pinned.shown(), &expected) {
                (Some(shown), None) => {
                    trust::ask(&client.address, &shown)?;
                    expected = Some(shown);
                }
                (Some(shown), Some(expected)) if shown != *expected => {
                    return Err(known.changed(&client.address, expected, &shown));
                }
                _ => return Err(client.unreachable(&error)),
            }
        }
        if let Some(fingerprint) = expected {
            known.remember(&client.address, &fingerprint)?;
        }
        Ok(client)
    }

    /// Where the camera is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        let address = &self.address;
        let mut text = format!("{address} does not answer ({error}); is that the camera, and is it on?");
        if address.https {
            text.push_str(&format!(" One without https is http://{}", address.host));
        }
        Error::new(text)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Body>,
        authorization: Option<&str>,
    ) -> std::result::Result<(Answer, Vec<String>), ureq::Error> {
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.address));
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        if let Some((kind, _)) = body {
            request = request.header("Content-Type", kind);
        }
        let mut response = match body {
            Some((_, bytes)) => self.agent.run(request.body(bytes)?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let challenges = response.headers().get_all("WWW-Authenticate").iter();
        let challenges = challenges.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
        let bytes = response.body_mut().with_config().limit(LONGEST).read_to_vec()?;
        let answer =
            Answer { status: response.status().as_u16(), text: String::from_utf8_lossy(&bytes).into_owned() };
        Ok((answer, challenges))
    }

    /// The answer to the camera's challenge, where there was one.
    fn authorization(&mut self, method: &str, path: &str) -> Result<Option<String>> {
        let Some(challenge) = &mut self.challenge else { return Ok(None) };
        if matches!(challenge, PasswordClient::Basic(_)) && !self.address.https {
            return Err(Error::new(format!(
                "{} asks for the password in clear (Basic) without encryption; use https://{}",
                self.address, self.address.host
            )));
        }
        let params = PasswordParams {
            username: &self.login.user,
            password: &self.login.password,
            uri: path,
            method,
            body: None,
        };
        challenge.respond(&params).map(Some).map_err(|error| {
            Error::new(format!("{} asks for the password in a way that is not known ({error})", self.address))
        })
    }

    /// Makes a request as the user.
    ///
    /// # Errors
    /// Where the camera does not answer, or refuses the user.
    pub fn request(&mut self, method: &str, path: &str, body: Option<Body>) -> Result<Answer> {
        // The first try may have no challenge yet or an old one; the second has a fresh one.
        for _ in 0..2 {
            let authorization = self.authorization(method, path)?;
            let (answer, challenges) = self
                .send(method, path, body, authorization.as_deref())
                .map_err(|error| self.unreachable(&error))?;
            if answer.status != 401 {
                return self.allowed(answer);
            }
            let builder = challenges.iter().fold(PasswordClient::builder(), |b, text| b.challenges(text));
            self.challenge = Some(builder.build().map_err(|error| {
                Error::new(format!(
                    "{} asks for the password in a way that is not known ({error})",
                    self.address
                ))
            })?);
        }
        Err(Error::new(format!(
            "{} refuses the password of user {}; give the right one in SPOTTER_PASSWORD, and the user with --user",
            self.address, self.login.user
        )))
    }

    fn allowed(&self, answer: Answer) -> Result<Answer> {
        let (address, user) = (&self.address, &self.login.user);
        match answer.status {
            403 => {
                Err(Error::new(format!("user {user} is no administrator of {address}; name one with --user")))
            }
            301 | 302 | 303 | 307 | 308 => Err(Error::new(format!(
                "{address} sends elsewhere; it may take https alone: give the address as https://{}",
                address.host
            ))),
            _ => Ok(answer),
        }
    }

    /// A GET whose answer must be there.
    ///
    /// # Errors
    /// As for [`Self::request`], and where the status is not 200.
    pub fn get(&mut self, path: &str) -> Result<String> {
        let answer = self.request("GET", path, None)?;
        self.good(path, answer)
    }

    /// The text of an answer with status 200.
    ///
    /// # Errors
    /// Where the status is another.
    pub fn good(&self, path: &str, answer: Answer) -> Result<String> {
        if answer.status == 200 {
            return Ok(answer.text);
        }
        let path = path.split('?').next().unwrap_or(path);
        Err(Error::new(format!(
            "{} answers {path} with status {}; is it an Axis camera with AXIS OS 11.11 or later?",
            self.address, answer.status
        )))
    }
}
