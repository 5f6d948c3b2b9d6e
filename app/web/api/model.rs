//! `/api/v1/model`: what runs, and running another.

use std::io::Read;

use serde_json::Value;
use tiny_http::Request;

use crate::base::error::{Error, Kind, Result};
use crate::base::text::count;
use crate::live::model_choice::Upload;
use crate::live::model_switch::SwitchRequest;
use crate::model::catalogue::store::UNVERIFIED;
use crate::vision::geometry::Fit;
use crate::web::http::body;
use crate::web::http::multipart;
use crate::web::http::response::{self, Reply};
use crate::web::router::parameter;
use crate::web::routes::Ask;

/// The largest body: a model and its labels. Models for cameras have some ten megabytes.
const BODY_LIMIT: u64 = 100 << 20;
/// So much of a body that is too large is read and thrown away, so that the answer gets through.
const DRAIN_LIMIT: u64 = 200 << 20;

/// What runs.
pub fn get(ask: &Ask<'_>) -> Result<Reply> {
    Ok(response::json(200, &ask.switch.to_json()))
}

/// Back to the model that Spotter was started with.
pub fn delete(_: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    ask.switch.back()?;
    get(ask)
}

/// The devices of the camera that do not run the model are tried again, whatever is known of them.
pub fn retry(_: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    let model = ask.context.status.model();
    let devices = model.devices.as_ref().ok_or_else(|| {
        let text = "no device of a camera runs a model here, so there is none to try again";
        Error::new(Kind::NotFound, text)
    })?;
    devices.try_again().map_err(|error| {
        let text = "the devices are tried again, but the state folder cannot be written, so the next start gives them up again";
        Error::new(Kind::Output, text).caused_by(error)
    })?;
    get(ask)
}

/// Another model: a file that is sent, or a name from the catalogue.
pub fn post(request: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    let _receiving = ask.switch.receive()?;
    let Some(body) = received(request)? else {
        let text =
            format!("the upload is larger than {} MiB; that is no model for a camera", BODY_LIMIT >> 20);
        return Ok(response::problem_with(413, &text));
    };
    let content_type = response::header(request, "Content-Type").unwrap_or("").to_owned();
    let (wanted, fit) = wanted(&content_type, ask.query, body)?;
    ask.switch.switch(wanted, fit)?;
    get(ask)
}

/// The body; none where it is too large.
fn received(request: &mut Request) -> Result<Option<Vec<u8>>> {
    let unreadable = |error| Error::new(Kind::Usage, "the request's body cannot be read").caused_by(error);
    let length = body::length(request);
    let mut body = Vec::new();
    if length > BODY_LIMIT {
        if length <= DRAIN_LIMIT {
            let _ = std::io::copy(&mut body::reader(request), &mut std::io::sink());
        }
        return Ok(None);
    }
    let read = body::reader(request).read_to_end(&mut body).map_err(unreadable)?;
    if length > read as u64 {
        return Err(Error::new(Kind::Usage, format!("the upload was cut off after {}", count(read, "byte"))));
    }
    Ok(Some(body))
}

/// What a request asks for: a form with the files `model`, `description` and `labels`, the model file itself,
/// or JSON with a catalogue name.
pub fn wanted(content_type: &str, query: &str, body: Vec<u8>) -> Result<(SwitchRequest, Option<Fit>)> {
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let fit = |text: &str| text.parse::<Fit>().map_err(|text| Error::new(Kind::Usage, text));
    let in_query = parameter(query, "fit").map(|text| fit(&text)).transpose()?;
    match kind.as_str() {
        "application/json" => {
            let (wanted, in_body) = from_json(&body)?;
            Ok((wanted, in_body.map(|text| fit(&text)).transpose()?.or(in_query)))
        }
        "multipart/form-data" => {
            let (wanted, in_body) = from_form(content_type, &body)?;
            Ok((wanted, in_body.map(|text| fit(&text)).transpose()?.or(in_query)))
        }
        _ if body.is_empty() => Err(Error::new(
            Kind::Usage,
            "nothing was sent; send a .tflite file, a form with the file \"model\", or JSON such as {\"model\": \"ssd-mobilenet-v2-coco\"}",
        )),
        // Whatever else it is called: the file says what it is.
        _ => {
            let name = parameter(query, "name").unwrap_or_else(|| "model.tflite".to_owned());
            Ok((SwitchRequest::Upload(Upload { name, model: body, ..Upload::default() }), in_query))
        }
    }
}

fn from_json(body: &[u8]) -> Result<(SwitchRequest, Option<String>)> {
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

fn from_form(content_type: &str, body: &[u8]) -> Result<(SwitchRequest, Option<String>)> {
    let (mut model, mut labels, mut description, mut name, mut fit) = (None, None, None, None, None);
    let mut accepted = Vec::new();
    let text = |data: &[u8]| String::from_utf8_lossy(data).trim().to_owned();
    for field in multipart::fields(content_type, body)? {
        match field.name {
            "model" if field.file_name.is_some() => model = Some(field),
            // An empty file field of a browser's form means that none was chosen.
            "labels" => labels = (!field.data.is_empty()).then(|| field.data.to_vec()),
            "description" => description = (!field.data.is_empty()).then(|| field.data.to_vec()),
            "model" | "name" => name = Some(text(field.data)),
            "accept_license" => accepted.push(text(field.data)),
            "accept_unverified" => {
                accepted.extend((text(field.data) == "true").then(|| UNVERIFIED.to_owned()))
            }
            "fit" => fit = Some(text(field.data)),
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
        (Some(field), name) => {
            let name = name.or_else(|| field.file_name.map(str::to_owned)).unwrap_or_default();
            Ok((SwitchRequest::Upload(Upload { name, model: field.data.to_vec(), labels, description }), fit))
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
