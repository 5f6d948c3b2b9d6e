//! `/api/v1/model`: what runs, and running another.

use std::io::{self, Read};

use serde_json::Value;

use crate::base::error::{Error, Kind, Result};
use crate::live::model_choice::Upload;
use crate::live::model_switch::SwitchRequest;
use crate::model::catalogue::store::UNVERIFIED;
use crate::vision::geometry::Fit;
use crate::web::handler::RequestContext;
use crate::web::http::body::{Body, JSON_LIMIT, unreadable};
use crate::web::http::multipart::Form;
use crate::web::http::query::parameter;
use crate::web::http::response::{self, Response};

/// The largest body: a model and its labels. Models for cameras have some ten megabytes.
const BODY_LIMIT: u64 = 100 << 20;
/// So much of a body that is too large is read and thrown away, so that the answer gets through.
const DRAIN_LIMIT: u64 = 200 << 20;
/// What else a form may hold is kept in memory: labels and a description at most.
const FIELD_LIMIT: u64 = 1 << 20;

/// What runs.
pub fn get(request: &RequestContext<'_>) -> Result<Response> {
    Ok(response::json(200, &request.switch.to_json()))
}

/// Back to the model that Spotter was started with.
pub fn delete(request: &RequestContext<'_>, _: &mut Body<'_>) -> Result<Response> {
    request.switch.back()?;
    get(request)
}

/// The devices of the camera that do not run the model are tried again, whatever is known of them.
pub fn retry(request: &RequestContext<'_>, _: &mut Body<'_>) -> Result<Response> {
    let model = request.context.status.model();
    let devices = model.devices.as_ref().ok_or_else(|| {
        let text = "no device of a camera runs a model here, so there is none to try again";
        Error::new(Kind::NotFound, text)
    })?;
    devices.try_again().map_err(|error| {
        let text = "the devices are tried again, but the state folder cannot be written, so the next start gives them up again";
        Error::new(Kind::Output, text).caused_by(error)
    })?;
    get(request)
}

/// Another model: a file that is sent, or a name from the catalogue.
pub fn post(request: &RequestContext<'_>, body: &mut Body<'_>) -> Result<Response> {
    let receiving = request.switch.receive()?;
    let length = body.length();
    let wanted = (length <= BODY_LIMIT).then(|| {
        let content_type = request.head.header("Content-Type").unwrap_or("");
        wanted(content_type, request.query, length, body, |file| receiving.store(file, unreadable))
    });
    if length <= DRAIN_LIMIT {
        let _ = io::copy(body, &mut io::sink());
    }
    let Some(wanted) = wanted else {
        let text =
            format!("the upload is larger than {} MiB; that is no model for a camera", BODY_LIMIT >> 20);
        return Ok(response::problem_with(413, &text));
    };
    let (wanted, fit) = wanted?;
    request.switch.switch(wanted, fit)?;
    get(request)
}

/// What a request asks for: a form with the files `model`, `description` and `labels`, the model file itself,
/// or JSON with a catalogue name. `store` keeps a model file.
pub fn wanted<F>(
    content_type: &str,
    query: &str,
    length: u64,
    body: &mut impl Read,
    mut store: impl FnMut(&mut dyn Read) -> Result<F>,
) -> Result<(SwitchRequest<F>, Option<Fit>)> {
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let fit = |text: &str| text.parse::<Fit>().map_err(|text| Error::new(Kind::Usage, text));
    let in_query = parameter(query, "fit").map(|text| fit(&text)).transpose()?;
    let (wanted, in_body) = match kind.as_str() {
        "application/json" => from_json(&bounded(body, JSON_LIMIT, "the request's body")?)?,
        "multipart/form-data" => from_form(Form::new(content_type, body)?, store)?,
        _ if length == 0 => {
            let text = "nothing was sent; send a .tflite file, a form with the file \"model\", or JSON such as {\"model\": \"ssd-mobilenet-v2-coco\"}";
            return Err(Error::new(Kind::Usage, text));
        }
        // Whatever else it is called: the file says what it is.
        _ => {
            let name = parameter(query, "name").unwrap_or_else(|| "model.tflite".to_owned());
            let upload = Upload { name, model: store(body)?, labels: None, description: None };
            (SwitchRequest::Upload(upload), None)
        }
    };
    Ok((wanted, in_body.map(|text| fit(&text)).transpose()?.or(in_query)))
}

/// All of `what`, which may have so many bytes.
fn bounded(from: &mut impl Read, limit: u64, what: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        let text = format!("{what} is larger than {} KiB; only the file \"model\" may be", limit >> 10);
        return Err(Error::new(Kind::TooLarge, text));
    }
    Ok(bytes)
}

fn from_json<F>(body: &[u8]) -> Result<(SwitchRequest<F>, Option<String>)> {
    let wrong = |text: String| Error::new(Kind::Usage, text);
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| wrong(format!("the request's body is no JSON: {error}")))?;
    let Value::Object(fields) = value else {
        return Err(wrong(
            "the request must be a JSON object such as {\"model\": \"ssd-mobilenet-v2-coco\"}".into(),
        ));
    };
    let (mut name, mut accepted, mut fit) = (None, Vec::new(), None);
    for (key, value) in fields {
        if let ("accept_unverified", Value::Bool(yes)) = (key.as_str(), &value) {
            accepted.extend(yes.then(|| UNVERIFIED.to_owned()));
            continue;
        }
        let Value::String(text) = value else {
            return Err(wrong(format!("{key} must be a string, not {value}")));
        };
        match key.as_str() {
            "model" | "name" => name = Some(text),
            "accept_license" => accepted.push(text),
            "fit" => fit = Some(text),
            _ => {
                let text = format!(
                    "there is no field \"{key}\"; there are model, accept_license, accept_unverified and fit"
                );
                return Err(wrong(text));
            }
        }
    }
    let name = name.ok_or_else(|| wrong("the field model is missing: a name from the catalogue".into()))?;
    Ok((SwitchRequest::Catalogue { name, accepted }, fit))
}

fn from_form<F>(
    mut form: Form<impl Read>,
    mut store: impl FnMut(&mut dyn Read) -> Result<F>,
) -> Result<(SwitchRequest<F>, Option<String>)> {
    let (mut model, mut labels, mut description, mut name, mut fit) = (None, None, None, None, None);
    let mut accepted = Vec::new();
    while let Some(field) = form.next_field()? {
        let mut content = form.content();
        if let ("model", Some(file_name)) = (&*field.name, &field.file_name) {
            model = Some((store(&mut content)?, file_name.clone()));
            continue;
        }
        let what = format!("the form's field \"{}\"", field.name.escape_default());
        let data = bounded(&mut content, FIELD_LIMIT, &what)?;
        let text = || String::from_utf8_lossy(&data).trim().to_owned();
        match &*field.name {
            "model" | "name" => name = Some(text()),
            "accept_license" => accepted.push(text()),
            "accept_unverified" => accepted.extend((text() == "true").then(|| UNVERIFIED.to_owned())),
            "fit" => fit = Some(text()),
            // An empty file field of a browser's form means that none was chosen.
            "labels" => labels = (!data.is_empty()).then_some(data),
            "description" => description = (!data.is_empty()).then_some(data),
            other => {
                let text = format!(
                    "there is no field \"{}\"; there are model, description, labels, name, accept_license, accept_unverified and fit",
                    other.escape_default()
                );
                return Err(Error::new(Kind::Usage, text));
            }
        }
    }
    match (model, name) {
        (Some((model, file_name)), name) => {
            let name = name.unwrap_or(file_name);
            Ok((SwitchRequest::Upload(Upload { name, model, labels, description }), fit))
        }
        (None, Some(name)) => Ok((SwitchRequest::Catalogue { name, accepted }, fit)),
        (None, None) if description.is_some() => {
            let text = "the form has a description but no file \"model\"; send the .bin file that it describes there";
            Err(Error::new(Kind::Usage, text))
        }
        (None, None) => Err(Error::new(
            Kind::Usage,
            "the form field \"model\" is missing; send the .tflite file there, or the .bin file with its \"description\"",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked for, with model files kept in memory.
    fn wanted(
        content_type: &str,
        query: &str,
        body: Vec<u8>,
    ) -> Result<(SwitchRequest<Vec<u8>>, Option<Fit>)> {
        super::wanted(content_type, query, body.len() as u64, &mut &*body, |file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(unreadable)?;
            Ok(bytes)
        })
    }

    fn form(fields: &[(&str, Option<&str>, &str)]) -> (String, Vec<u8>) {
        let mut body = String::new();
        for (name, file, data) in fields {
            let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
            body +=
                &format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{data}\r\n");
        }
        ("multipart/form-data; boundary=b".to_owned(), (body + "--b--\r\n").into_bytes())
    }

    #[test]
    fn all_ways_to_ask_are_understood() {
        let sent = |name: &str, labels: Option<&str>| Upload {
            name: name.into(),
            model: b"TFL3".to_vec(),
            labels: labels.map(|l| l.as_bytes().to_vec()),
            description: None,
        };
        let upload = |name: &str, labels: Option<&str>| SwitchRequest::Upload(sent(name, labels));
        let (kind, body) = form(&[
            ("model", Some("m.tflite"), "TFL3"),
            ("labels", Some("l"), "a\nb"),
            ("fit", None, "crop"),
        ]);
        assert_eq!(wanted(&kind, "", body).unwrap(), (upload("m.tflite", Some("a\nb")), Some(Fit::Crop)));
        let (kind, body) =
            form(&[("model", Some("m.tflite"), "TFL3"), ("labels", Some(""), ""), ("name", None, "n")]);
        assert_eq!(wanted(&kind, "fit=stretch", body).unwrap(), (upload("n", None), Some(Fit::Stretch)));
        let (kind, body) = form(&[("description", Some("m.json"), "{}"), ("model", Some("m.bin"), "TFL3")]);
        let described =
            SwitchRequest::Upload(Upload { description: Some(b"{}".to_vec()), ..sent("m.bin", None) });
        assert_eq!(wanted(&kind, "", body).unwrap(), (described, None));
        let raw = wanted("application/octet-stream", "name=my%20model.tflite", b"TFL3".to_vec());
        assert_eq!(raw.unwrap(), (upload("my model.tflite", None), None));
        let listed = SwitchRequest::Catalogue { name: "x".into(), accepted: vec!["AGPL-3.0".into()] };
        let json = br#"{"model": "x", "accept_license": "AGPL-3.0", "fit": "letterbox"}"#.to_vec();
        let found = wanted("application/json; charset=utf-8", "", json).unwrap();
        assert_eq!(found, (listed.clone(), Some(Fit::Letterbox)));
        let trusted = SwitchRequest::Catalogue { name: "x".into(), accepted: vec![UNVERIFIED.into()] };
        for (body, wish) in [
            (r#"{"model": "x", "accept_unverified": true}"#, trusted.clone()),
            (
                r#"{"model": "x", "accept_unverified": false}"#,
                SwitchRequest::Catalogue { name: "x".into(), accepted: vec![] },
            ),
        ] {
            assert_eq!(wanted("application/json", "", body.into()).unwrap(), (wish, None));
        }
        let (kind, body) = form(&[("model", None, "x"), ("accept_unverified", None, "true")]);
        assert_eq!(wanted(&kind, "", body).unwrap(), (trusted, None));
        let (kind, body) = form(&[("model", None, "x"), ("accept_license", None, "AGPL-3.0")]);
        assert_eq!(wanted(&kind, "", body).unwrap(), (listed, None));
    }

    #[test]
    fn what_cannot_be_meant_is_said_so() {
        let json = "application/json";
        for (kind, query, body, why) in [
            ("", "", "", "nothing was sent"),
            (json, "", "{", "no JSON"),
            (json, "", "[]", "JSON object"),
            (json, "", "{}", "the field model is missing"),
            (json, "", r#"{"model": 1}"#, "model must be a string"),
            (json, "", r#"{"model": "x", "colour": "red"}"#, "no field \"colour\""),
            (json, "", r#"{"model": "x", "fit": "wide"}"#, "\"wide\" is no fit"),
            (json, "fit=x", r#"{"model": "x"}"#, "\"x\" is no fit"),
        ] {
            let error = wanted(kind, query, body.into()).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains(why), "{error}");
        }
        let (kind, body) = form(&[("labels", Some("l"), "a")]);
        assert!(wanted(&kind, "", body).unwrap_err().to_string().contains("field \"model\" is missing"));
        let (kind, body) = form(&[("description", Some("m.json"), "{}")]);
        assert!(
            wanted(&kind, "", body).unwrap_err().to_string().contains("send the .bin file that it describes")
        );
        let (kind, body) = form(&[("colour", None, "a")]);
        assert!(wanted(&kind, "", body).unwrap_err().to_string().contains("no field \"colour\""));
    }
}
