//! Signs allowances, so that a till without a connection can check them: JWTs of Ed25519 (RFC 7519, RFC 8037).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::json;
use sha2::{Digest, Sha256};

/// The key.
pub struct Signer(SigningKey);

impl Signer {
    /// Of a secret key (RFC 8032: 32 random bytes).
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The public key, by its thumbprint (RFC 7638).
    fn id(&self) -> String {
        BASE64.encode(Sha256::digest(format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{}\"}}", self.public())))
    }

    fn public(&self) -> String {
        BASE64.encode(self.0.verifying_key().as_bytes())
    }

    /// What tills check tokens with: a set of JSON web keys (RFC 7517).
    pub(crate) fn keys(&self) -> serde_json::Value {
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.id(), "x": self.public() }] })
    }

    /// A token.
    pub(crate) fn token(&self, claims: &serde_json::Value) -> String {
        self.signed(&json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.id() }).to_string(), &claims.to_string())
    }

    fn signed(&self, header: &str, payload: &str) -> String {
        let said = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
        let signature = BASE64.encode(self.0.sign(said.as_bytes()).to_bytes());
        format!("{said}.{signature}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_8037() {
        let secret = BASE64.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("appendix A.1");
        let signer = Signer::new(&secret.try_into().expect("32 bytes"));
        assert_eq!(signer.public(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(signer.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(signer.signed("{\"alg\":\"EdDSA\"}", "Example of Ed25519 signing"), signed);
    }
}
