/* SOAP messages: the envelope, its token, a fault, and each element of the body by its name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onvif/soap_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static volatile size_t sum; /* touches every text, so that ASan sees them */

static void read_node(const xmlNode *node)
{
	char text[100];
	int64_t number = 0;
	bool truth = false;

	(void)soap_text(node, text, sizeof(text));
	sum += strlen(text);
	(void)soap_attribute(node, "token", text, sizeof(text));
	sum += strlen(text);
	sum += soap_integer(node, &number) + soap_bool(node, &truth) + soap_time(node, &number) +
	       soap_duration(node, &number);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct soap_message message;
	struct soap_token token;
	struct soap_fault fault;
	const char *why = NULL;

	if (soap_message_parse(&message, (const char *)p, n, SOAP_REQUEST_BYTES, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	if (!message.body || !message.space || !message.name)
		abort();
	if (soap_read_token(&message, &token))
		sum += strlen(token.username) + strlen(token.password) + strlen(token.nonce) +
		       strlen(token.created);
	if (soap_read_fault(&message, &fault))
		sum += strlen(fault.code) + strlen(fault.subcode) + strlen(fault.reason);
	for (const xmlNode *node = message.body->children; node; node = node->next) {
		if (node->type == XML_ELEMENT_NODE) {
			read_node(node);
			sum += soap_next(node) != NULL;
		}
	}
	soap_message_fini(&message);
	return 0;
}
