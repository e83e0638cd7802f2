#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libxml/tree.h>

#include "server/base/attributes.h"

/*
 * SOAP messages (1.2, and 1.1 as some devices have it) as ONVIF's services and devices send them: reading. Names count by
 * namespace, never by prefix. Nothing is loaded, a document type is refused, and so is what costs more to read than its
 * bytes are worth. Pure. What writes them is soap_writer.h.
 */

#define SOAP_SPACE "http://www.w3.org/2003/05/soap-envelope"
#define SOAP_11_SPACE "http://schemas.xmlsoap.org/soap/envelope/"
#define SOAP_WSSE_SPACE \
	"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
#define SOAP_WSU_SPACE \
	"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
#define SOAP_WSA_SPACE "http://www.w3.org/2005/08/addressing"
#define SOAP_WSNT_SPACE "http://docs.oasis-open.org/wsn/b-2"
#define SOAP_ERROR_SPACE "http://www.onvif.org/ver10/error"
#define SOAP_SCHEMA_SPACE "http://www.onvif.org/ver10/schema"
#define SOAP_TOPICS_SPACE "http://www.onvif.org/ver10/topics"
#define SOAP_DEVICE_SPACE "http://www.onvif.org/ver10/device/wsdl"
#define SOAP_MEDIA_SPACE "http://www.onvif.org/ver10/media/wsdl"
#define SOAP_MEDIA2_SPACE "http://www.onvif.org/ver20/media/wsdl"
#define SOAP_EVENTS_SPACE "http://www.onvif.org/ver10/events/wsdl"
#define SOAP_RECORDING_SPACE "http://www.onvif.org/ver10/recording/wsdl"
#define SOAP_SEARCH_SPACE "http://www.onvif.org/ver10/search/wsdl"
#define SOAP_REPLAY_SPACE "http://www.onvif.org/ver10/replay/wsdl"
#define SOAP_PTZ_SPACE "http://www.onvif.org/ver20/ptz/wsdl"
#define SOAP_IMAGING_SPACE "http://www.onvif.org/ver20/imaging/wsdl"

enum {
	SOAP_REQUEST_BYTES = 256 << 10, /* the most that a client may send */
	SOAP_ANSWER_BYTES = 4 << 20,    /* the most that a device may answer */
	SOAP_DEPTH = 48                 /* of elements, the envelope among them */
};

struct soap_message {
	const xmlNode *header; /* NULL: there is none */
	const xmlNode *body;   /* the element in the Body; never NULL */
	const char *space;     /* its namespace, or "" */
	const char *name;
	xmlDoc *document; /* owned */
};

/*
 * Parses an envelope in UTF-8 of n bytes, of which there may be `most`. Returns 0, and the caller calls soap_message_fini(); or -EBADMSG
 * and a static *why.
 */
int soap_message_parse(struct soap_message *ret, const char *p, size_t n, size_t most,
	const char **why) MUST_CHECK;
void soap_message_fini(struct soap_message *message); /* may be called twice, and for zeroes */

/* --- what is in it; a NULL parent or node has nothing, so that calls can be put into each other --- */

/* Whether it is an element of that name; `space` NULL: in whatever namespace, as of soap_child(). */
bool soap_is(const xmlNode *node, const char *space, const char *name);
/* The first child element of that name. */
const xmlNode *soap_child(const xmlNode *parent, const char *space, const char *name);
/* The next sibling of the same name. */
const xmlNode *soap_next(const xmlNode *node);
/* The text of an element without blanks around it; false, and ret is "", where there is no node, or it is too long. */
bool soap_text(const xmlNode *node, char *ret, size_t size);
/* An attribute without a namespace, likewise. */
bool soap_attribute(const xmlNode *node, const char *name, char *ret, size_t size);
/* One that is a number, as of soap_number(). */
bool soap_attribute_number(const xmlNode *node, const char *name, double *ret);
/* The element's text as what it should be; false: it is not that, and *ret is as before. */
bool soap_integer(const xmlNode *node, int64_t *ret);
bool soap_bool(const xmlNode *node, bool *ret);
bool soap_number(const xmlNode *node, double *ret);       /* xs:float of 1e9 at most */
bool soap_time(const xmlNode *node, int64_t *ret_us);     /* see xsd_time.h */
bool soap_duration(const xmlNode *node, int64_t *ret_us); /* see xsd_time.h */

/* --- headers and faults --- */

/* WS-UsernameToken (OASIS Web Services Security UsernameToken Profile 1.0); what is absent or too long is "". */
struct soap_token {
	char username[128];
	char password[256]; /* the digest in base64, or the password itself */
	bool is_digest;
	char nonce[256]; /* in base64 */
	char created[40];
};
/* Returns false when there is none. */
bool soap_read_token(const struct soap_message *message, struct soap_token *ret);

/* The local names of the codes (SOAP 1.1 has no subcodes), and what people are told. */
struct soap_fault {
	char code[64];       /* "Sender" */
	char subcode[64];    /* "NotAuthorized", or "" */
	char subsubcode[64]; /* or "" */
	char reason[256];
};
/* Returns false when the message is no fault. */
bool soap_read_fault(const struct soap_message *message, struct soap_fault *ret);
