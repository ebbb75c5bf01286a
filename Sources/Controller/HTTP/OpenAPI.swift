/// `GET /v1/openapi.json`. A test holds real answers of every path against it.
let openAPIDocument = #"""
  {
   "openapi": "3.1.0",
   "info": {
    "title": "Keyweave controller",
    "version": "1",
    "description": "TLS 1.3 with client certificates; the peer is its certificate's SPIFFE ID and public key. Members may use /v1/lease and /v1/keys, administrators the rest."
   },
   "components": {
    "schemas": {
     "SPIFFEID": {"type": "string", "pattern": "^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*$", "maxLength": 2048},
     "Pin": {
      "type": "string",
      "description": "SHA-256 of a certificate's public key (SubjectPublicKeyInfo).",
      "pattern": "^sha256:[0-9a-f]{64}$"
     },
     "Fingerprint": {"type": "string", "description": "SHA-256 of a key's octets.", "pattern": "^[0-9a-f]{64}$"},
     "Token": {"type": "string", "description": "32 random octets in hex.", "pattern": "^[0-9a-f]{64}$"},
     "RootKeyID": {"type": "string", "description": "A root key's ID in hex.", "pattern": "^([0-9a-f]{8}){4,8}$"},
     "Level": {"enum": ["trust-region", "user-group", "task-group"]},
     "Role": {"enum": ["previous", "current", "next"]},
     "Time": {"type": "integer", "description": "Unix seconds."},
     "LeaseRequest": {
      "type": "object",
      "additionalProperties": false,
      "required": ["next"],
      "properties": {"next": {"$ref": "#/components/schemas/Token"}, "shown": {"$ref": "#/components/schemas/Token"}},
      "description": "The token that is shown next, and the one of the last swap. Repeating a request is harmless."
     },
     "LeaseGrant": {
      "type": "object",
      "additionalProperties": false,
      "required": ["expires_in", "rolled_back"],
      "properties": {
       "expires_in": {"type": "integer", "minimum": 0, "description": "Seconds; renew after a third."},
       "rolled_back": {"type": "boolean"}
      }
     },
     "PublicKey": {
      "type": "object",
      "additionalProperties": false,
      "required": ["kty", "crv", "x"],
      "properties": {
       "kty": {"const": "OKP"},
       "crv": {"const": "X25519"},
       "x": {"type": "string", "description": "32 octets in base64url.", "pattern": "^[A-Za-z0-9_-]{43}$"}
      }
     },
     "Acknowledgement": {
      "type": "object",
      "additionalProperties": false,
      "required": ["id", "staged", "promoted"],
      "properties": {
       "id": {"$ref": "#/components/schemas/RootKeyID"},
       "staged": {"type": "integer", "minimum": 0, "description": "Newest generation held."},
       "promoted": {"type": "integer", "minimum": 0, "description": "Newest generation sealed with."}
      }
     },
     "KeyPoll": {
      "type": "object",
      "additionalProperties": false,
      "required": ["version", "wait", "token", "recipient", "acknowledgements"],
      "properties": {
       "version": {"type": "integer", "minimum": 0, "description": "Of the last answer taken over; 0: none."},
       "wait": {"type": "integer", "minimum": 0, "description": "Seconds.", "maximum": 60},
       "token": {"$ref": "#/components/schemas/Token"},
       "recipient": {"$ref": "#/components/schemas/PublicKey"},
       "acknowledgements": {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Acknowledgement"},
        "maxItems": 256
       }
      }
     },
     "KeyObject": {
      "type": "object",
      "additionalProperties": false,
      "required": ["kty", "kid", "enc", "k", "nbf", "exp", "level", "index", "state", "fingerprint"],
      "properties": {
       "kty": {"const": "oct"},
       "kid": {"type": "string", "description": "ID.GENERATION"},
       "enc": {"const": "A256KW"},
       "k": {
        "type": "string",
        "description": "The wrapped key, 40 octets in base64url.",
        "pattern": "^[A-Za-z0-9_-]{54}$"
       },
       "nbf": {"$ref": "#/components/schemas/Time"},
       "exp": {"$ref": "#/components/schemas/Time"},
       "level": {"$ref": "#/components/schemas/Level"},
       "index": {"type": "integer", "minimum": 0, "description": "The generation, counted in 64 bits."},
       "state": {"$ref": "#/components/schemas/Role"},
       "fingerprint": {"$ref": "#/components/schemas/Fingerprint"}
      }
     },
     "KeySeries": {
      "type": "object",
      "additionalProperties": false,
      "required": ["name", "id", "level", "floor", "keys"],
      "properties": {
       "name": {"type": "string"},
       "id": {"$ref": "#/components/schemas/RootKeyID"},
       "level": {"$ref": "#/components/schemas/Level"},
       "floor": {"type": "integer", "minimum": 0, "description": "The lowest generation that may still be held."},
       "keys": {"type": "array", "items": {"$ref": "#/components/schemas/KeyObject"}, "maxItems": 3}
      }
     },
     "Assignment": {
      "type": "object",
      "additionalProperties": false,
      "required": ["device_id", "member"],
      "properties": {
       "device_id": {"type": "string", "description": "8 hex digits.", "pattern": "^[0-9a-f]{8}$"},
       "member": {"type": "integer", "minimum": 0, "maximum": 63}
      }
     },
     "KeySet": {
      "type": "object",
      "additionalProperties": false,
      "required": ["version", "alg", "epk", "root_keys", "clients"],
      "properties": {
       "version": {"type": "integer", "minimum": 0},
       "alg": {"const": "ECDH-ES+A256KW"},
       "epk": {"$ref": "#/components/schemas/PublicKey"},
       "root_keys": {"type": "array", "items": {"$ref": "#/components/schemas/KeySeries"}},
       "clients": {"type": "array", "items": {"$ref": "#/components/schemas/Client"}},
       "assignment": {"$ref": "#/components/schemas/Assignment"}
      }
     },
     "Enrolment": {
      "type": "object",
      "additionalProperties": false,
      "required": ["id", "public_keys", "root_keys"],
      "properties": {
       "id": {"$ref": "#/components/schemas/SPIFFEID"},
       "public_keys": {"type": "array", "items": {"$ref": "#/components/schemas/Pin"}, "minItems": 1, "maxItems": 8},
       "root_keys": {"type": "array", "items": {"type": "string"}},
       "pool": {
        "type": "string",
        "description": "Members of one pool share a device ID. At the identity authority only."
       }
      }
     },
     "Member": {
      "type": "object",
      "additionalProperties": false,
      "required": ["id", "public_keys", "root_keys", "connected", "acknowledgements"],
      "properties": {
       "id": {"$ref": "#/components/schemas/SPIFFEID"},
       "public_keys": {"type": "array", "items": {"$ref": "#/components/schemas/Pin"}},
       "root_keys": {"type": "array", "items": {"type": "string"}},
       "connected": {"type": "boolean"},
       "acknowledgements": {"type": "array", "items": {"$ref": "#/components/schemas/Acknowledgement"}},
       "pool": {"type": "string"},
       "assignment": {"$ref": "#/components/schemas/Assignment"},
       "last_seen": {"$ref": "#/components/schemas/Time"},
       "problem": {"type": "string", "description": "Two instances, or a state that was set back."}
      }
     },
     "AcknowledgementReport": {
      "type": "object",
      "additionalProperties": false,
      "required": ["id", "connected", "acknowledgements"],
      "properties": {
       "id": {"$ref": "#/components/schemas/SPIFFEID"},
       "connected": {"type": "boolean"},
       "acknowledgements": {"type": "array", "items": {"$ref": "#/components/schemas/Acknowledgement"}}
      }
     },
     "Client": {
      "type": "object",
      "additionalProperties": false,
      "required": ["id", "public_keys", "pool", "address"],
      "properties": {
       "id": {"$ref": "#/components/schemas/SPIFFEID"},
       "public_keys": {"type": "array", "items": {"$ref": "#/components/schemas/Pin"}, "minItems": 1, "maxItems": 8},
       "pool": {"type": "string"},
       "address": {"type": "string", "description": "Where the pool's members send to."},
       "slot": {
        "type": "integer",
        "minimum": 0,
        "description": "Given by the controller; absent in a request.",
        "maximum": 524287
       }
      }
     },
     "Generation": {
      "type": "object",
      "additionalProperties": false,
      "required": ["index", "state", "fingerprint", "created", "expires"],
      "properties": {
       "index": {"type": "integer", "minimum": 0},
       "state": {"$ref": "#/components/schemas/Role"},
       "fingerprint": {"$ref": "#/components/schemas/Fingerprint"},
       "created": {"$ref": "#/components/schemas/Time"},
       "expires": {"$ref": "#/components/schemas/Time"}
      }
     },
     "RootKey": {
      "type": "object",
      "additionalProperties": false,
      "required": [
       "name",
       "id",
       "level",
       "floor",
       "generations",
       "members",
       "connected",
       "converged",
       "obstacles",
       "missing"
      ],
      "properties": {
       "name": {"type": "string"},
       "id": {"$ref": "#/components/schemas/RootKeyID"},
       "level": {"$ref": "#/components/schemas/Level"},
       "floor": {"type": "integer", "minimum": 0},
       "generations": {"type": "array", "items": {"$ref": "#/components/schemas/Generation"}},
       "members": {"type": "integer", "minimum": 0},
       "connected": {"type": "integer", "minimum": 0},
       "converged": {"type": "integer", "minimum": 0},
       "obstacles": {"type": "array", "items": {"type": "string"}},
       "missing": {"type": "array", "items": {"$ref": "#/components/schemas/SPIFFEID"}},
       "staged_at": {"$ref": "#/components/schemas/Time"},
       "next_rotation": {"$ref": "#/components/schemas/Time"}
      }
     },
     "RotationCommand": {
      "type": "object",
      "additionalProperties": false,
      "required": ["force"],
      "properties": {"force": {"type": "boolean", "description": "Although members are missing; it is audited."}}
     },
     "Health": {
      "type": "object",
      "additionalProperties": false,
      "required": ["name", "status", "revision", "members", "connected", "waiting", "rotates", "certificate_expires"],
      "properties": {
       "name": {"type": "string"},
       "status": {"enum": ["ok", "degraded"]},
       "revision": {"type": "integer", "minimum": 0},
       "members": {"type": "integer", "minimum": 0},
       "connected": {"type": "integer", "minimum": 0},
       "waiting": {"type": "integer", "minimum": 0, "description": "Long polls."},
       "rotates": {"type": "boolean"},
       "certificate_expires": {"$ref": "#/components/schemas/Time"},
       "problem": {"type": "string"}
      }
     },
     "AuditEntry": {
      "type": "object",
      "additionalProperties": false,
      "required": ["time", "by", "action", "subject"],
      "properties": {
       "time": {"type": "integer", "minimum": 0, "description": "Milliseconds since 1970."},
       "by": {"type": "string"},
       "action": {"type": "string"},
       "subject": {"type": "string"},
       "details": {"type": "object", "additionalProperties": {"type": "string"}}
      }
     },
     "Error": {
      "type": "object",
      "additionalProperties": false,
      "required": ["error", "message"],
      "properties": {
       "error": {"type": "string", "description": "A word for programs."},
       "message": {"type": "string", "description": "What was found, what was expected, what to do."},
       "missing": {"type": "array", "items": {"$ref": "#/components/schemas/SPIFFEID"}}
      }
     }
    },
    "headers": {"Date": {"required": true, "schema": {"type": "string"}}},
    "parameters": {"Name": {"name": "name", "in": "path", "required": true, "schema": {"type": "string"}}},
    "responses": {
     "BadRequest": {
      "description": "The request is not what this document says.",
      "headers": {"Date": {"$ref": "#/components/headers/Date"}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
     },
     "Forbidden": {
      "description": "Not a member or administrator, by name and key.",
      "headers": {"Date": {"$ref": "#/components/headers/Date"}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
     },
     "NotFound": {
      "description": "Nothing of that name.",
      "headers": {"Date": {"$ref": "#/components/headers/Date"}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
     },
     "Conflict": {
      "description": "It cannot be done now.",
      "headers": {"Date": {"$ref": "#/components/headers/Date"}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
     },
     "TooLarge": {
      "description": "The body is too large.",
      "headers": {"Date": {"$ref": "#/components/headers/Date"}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
     },
     "TooMany": {
      "description": "Too many requests.",
      "headers": {"Date": {"$ref": "#/components/headers/Date"}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
     },
     "Unavailable": {
      "description": "The store does not answer, or the controller is stopping.",
      "headers": {"Date": {"$ref": "#/components/headers/Date"}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
     }
    },
    "securitySchemes": {"mutualTLS": {"type": "mutualTLS"}}
   },
   "security": [{"mutualTLS": []}],
   "paths": {
    "/v1/health": {
     "get": {
      "summary": "How the controller is.",
      "responses": {
       "200": {
        "description": "Health.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}
       },
       "403": {"$ref": "#/components/responses/Forbidden"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      }
     }
    },
    "/v1/openapi.json": {
     "get": {
      "summary": "This document.",
      "responses": {
       "200": {
        "description": "OpenAPI 3.1.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {"application/json": {"schema": {"type": "object"}}}
       },
       "403": {"$ref": "#/components/responses/Forbidden"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      }
     }
    },
    "/v1/lease": {
     "post": {
      "summary": "A member's instance takes or renews its lease, and swaps its token.",
      "responses": {
       "200": {
        "description": "Granted.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/LeaseGrant"}}}
       },
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "409": {"$ref": "#/components/responses/Conflict"},
       "413": {"$ref": "#/components/responses/TooLarge"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "requestBody": {
       "required": true,
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/LeaseRequest"}}}
      }
     },
     "delete": {
      "summary": "A member seals no more: its number may be handed on after three epochs.",
      "responses": {
       "204": {"description": "Released.", "headers": {"Date": {"$ref": "#/components/headers/Date"}}},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      }
     }
    },
    "/v1/keys": {
     "post": {
      "summary": "A member's long poll for everything that is its.",
      "responses": {
       "200": {
        "description": "Everything, as it is now.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/KeySet"}}}
       },
       "204": {"description": "Nothing changed.", "headers": {"Date": {"$ref": "#/components/headers/Date"}}},
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "409": {"$ref": "#/components/responses/Conflict"},
       "413": {"$ref": "#/components/responses/TooLarge"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "requestBody": {
       "required": true,
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/KeyPoll"}}}
      }
     }
    },
    "/v1/members": {
     "get": {
      "summary": "All members, or one.",
      "responses": {
       "200": {
        "description": "Members.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {
         "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Member"}}}
        }
       },
       "403": {"$ref": "#/components/responses/Forbidden"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "parameters": [
       {"name": "id", "in": "query", "required": false, "schema": {"$ref": "#/components/schemas/SPIFFEID"}}
      ]
     },
     "post": {
      "summary": "Enrol a member, or change one.",
      "responses": {
       "200": {
        "description": "As it is now.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Member"}}}
       },
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "409": {"$ref": "#/components/responses/Conflict"},
       "413": {"$ref": "#/components/responses/TooLarge"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "requestBody": {
       "required": true,
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Enrolment"}}}
      }
     },
     "delete": {
      "summary": "Remove a member.",
      "responses": {
       "204": {"description": "Removed.", "headers": {"Date": {"$ref": "#/components/headers/Date"}}},
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "404": {"$ref": "#/components/responses/NotFound"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "parameters": [
       {"name": "id", "in": "query", "required": true, "schema": {"$ref": "#/components/schemas/SPIFFEID"}}
      ]
     }
    },
    "/v1/members/reset": {
     "post": {
      "summary": "After two instances were seen: let the next one in.",
      "responses": {
       "204": {"description": "Done.", "headers": {"Date": {"$ref": "#/components/headers/Date"}}},
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "404": {"$ref": "#/components/responses/NotFound"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "parameters": [
       {"name": "id", "in": "query", "required": true, "schema": {"$ref": "#/components/schemas/SPIFFEID"}}
      ]
     }
    },
    "/v1/clients": {
     "get": {
      "summary": "Outside clients that pools may serve.",
      "responses": {
       "200": {
        "description": "Clients.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {
         "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Client"}}}
        }
       },
       "403": {"$ref": "#/components/responses/Forbidden"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      }
     },
     "post": {
      "summary": "Let an outside client in, or change one.",
      "responses": {
       "200": {
        "description": "With its slot.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Client"}}}
       },
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "404": {"$ref": "#/components/responses/NotFound"},
       "409": {"$ref": "#/components/responses/Conflict"},
       "413": {"$ref": "#/components/responses/TooLarge"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "requestBody": {
       "required": true,
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Client"}}}
      }
     },
     "delete": {
      "summary": "Remove a client.",
      "responses": {
       "204": {"description": "Removed.", "headers": {"Date": {"$ref": "#/components/headers/Date"}}},
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "404": {"$ref": "#/components/responses/NotFound"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "parameters": [
       {"name": "id", "in": "query", "required": true, "schema": {"$ref": "#/components/schemas/SPIFFEID"}}
      ]
     }
    },
    "/v1/root-keys": {
     "get": {
      "summary": "All root keys, without key octets.",
      "responses": {
       "200": {
        "description": "Root keys.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {
         "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/RootKey"}}}
        }
       },
       "403": {"$ref": "#/components/responses/Forbidden"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      }
     }
    },
    "/v1/acknowledgements": {
     "get": {
      "summary": "What each member holds.",
      "responses": {
       "200": {
        "description": "By member.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {
         "application/json": {
          "schema": {"type": "array", "items": {"$ref": "#/components/schemas/AcknowledgementReport"}}
         }
        }
       },
       "403": {"$ref": "#/components/responses/Forbidden"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      }
     }
    },
    "/v1/audit": {
     "get": {
      "summary": "The newest entries of the audit log, oldest first.",
      "responses": {
       "200": {
        "description": "Entries.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {
         "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/AuditEntry"}}}
        }
       },
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "parameters": [
       {
        "name": "last",
        "in": "query",
        "required": false,
        "schema": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 100}
       }
      ]
     }
    },
    "/v1/root-keys/{name}/stage": {
     "post": {
      "summary": "Make the next generation.",
      "responses": {
       "200": {
        "description": "As it is now.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RootKey"}}}
       },
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "404": {"$ref": "#/components/responses/NotFound"},
       "409": {"$ref": "#/components/responses/Conflict"},
       "413": {"$ref": "#/components/responses/TooLarge"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "requestBody": {
       "required": false,
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RotationCommand"}}}
      },
      "parameters": [{"$ref": "#/components/parameters/Name"}]
     }
    },
    "/v1/root-keys/{name}/promote": {
     "post": {
      "summary": "Make the staged generation current.",
      "responses": {
       "200": {
        "description": "As it is now.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RootKey"}}}
       },
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "404": {"$ref": "#/components/responses/NotFound"},
       "409": {"$ref": "#/components/responses/Conflict"},
       "413": {"$ref": "#/components/responses/TooLarge"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "requestBody": {
       "required": false,
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RotationCommand"}}}
      },
      "parameters": [{"$ref": "#/components/parameters/Name"}]
     }
    },
    "/v1/root-keys/{name}/rotate": {
     "post": {
      "summary": "Stage, and promote as soon as it may be.",
      "responses": {
       "200": {
        "description": "As it is now.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RootKey"}}}
       },
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "404": {"$ref": "#/components/responses/NotFound"},
       "409": {"$ref": "#/components/responses/Conflict"},
       "413": {"$ref": "#/components/responses/TooLarge"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "requestBody": {
       "required": false,
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RotationCommand"}}}
      },
      "parameters": [{"$ref": "#/components/parameters/Name"}]
     }
    },
    "/v1/root-keys/{name}/revoke": {
     "post": {
      "summary": "End the current generation at once.",
      "responses": {
       "200": {
        "description": "As it is now.",
        "headers": {"Date": {"$ref": "#/components/headers/Date"}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RootKey"}}}
       },
       "400": {"$ref": "#/components/responses/BadRequest"},
       "403": {"$ref": "#/components/responses/Forbidden"},
       "404": {"$ref": "#/components/responses/NotFound"},
       "409": {"$ref": "#/components/responses/Conflict"},
       "413": {"$ref": "#/components/responses/TooLarge"},
       "429": {"$ref": "#/components/responses/TooMany"},
       "503": {"$ref": "#/components/responses/Unavailable"}
      },
      "requestBody": {
       "required": false,
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RotationCommand"}}}
      },
      "parameters": [{"$ref": "#/components/parameters/Name"}]
     }
    }
   }
  }
  """#
