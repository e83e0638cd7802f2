#include "onvif/soap_writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onvif/xsd_time.h"
#include "server/base/memory.h"

/* As ONVIF's specifications have them. */
static const struct prefix {
	const char *prefix, *space;
} prefixes[] = {
	{"env",    SOAP_SPACE                          },
	{ "wsse",  SOAP_WSSE_SPACE                     },
	{ "wsu",   SOAP_WSU_SPACE                      },
	{ "wsa",   SOAP_WSA_SPACE                      },
	{ "wsnt",  SOAP_WSNT_SPACE                     },
	{ "ter",   SOAP_ERROR_SPACE                    },
	{ "tt",    SOAP_SCHEMA_SPACE                   },
	{ "tns1",  SOAP_TOPICS_SPACE                   },
	{ "tds",   SOAP_DEVICE_SPACE                   },
	{ "trt",   SOAP_MEDIA_SPACE                    },
	{ "tr2",   SOAP_MEDIA2_SPACE                   },
	{ "tev",   SOAP_EVENTS_SPACE                   },
	{ "trc",   SOAP_RECORDING_SPACE                },
	{ "tse",   SOAP_SEARCH_SPACE                   },
	{ "trp",   SOAP_REPLAY_SPACE                   },
	{ "tptz",  SOAP_PTZ_SPACE                      },
	{ "timg",  SOAP_IMAGING_SPACE                  },
	{ "wstop", "http://docs.oasis-open.org/wsn/t-1"},
	{ "xs",    "http://www.w3.org/2001/XMLSchema"  },
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static const xmlChar *xml(const char *s)
{
	return (const xmlChar *)s;
}

/* --- namespaces --- */

static const char *prefix_of(const char *space)
{
	for (size_t i = 0; i < ARRAY_LENGTH(prefixes); i++) {
		if (!strcmp(prefixes[i].space, space))
			return prefixes[i].prefix;
	}
	return NULL;
}

/* Declared at the root: those that we do not know get a number. */
static xmlNs *space_find(xmlNode *root, const char *space)
{
	const char *prefix = prefix_of(space);
	char numbered[16];
	int n = 0;

	for (xmlNs *ns = root->nsDef; ns; ns = ns->next, n++) {
		if (!strcmp((const char *)ns->href, space))
			return ns;
	}
	snprintf(numbered, sizeof(numbered), "n%d", n);
	return must(xmlNewNs(root, xml(space), xml(prefix ? prefix : numbered)));
}

static xmlNs *space_of(xmlNode *node, const char *space)
{
	return space_find(must(xmlDocGetRootElement(node->doc)), space);
}

const char *soap_declare(xmlNode *node, const char *space)
{
	return (const char *)space_of(node, space)->prefix;
}

/* --- the envelope --- */

void soap_writer_init(struct soap_writer *writer)
{
	xmlNode *root;

	writer->document = must(xmlNewDoc(xml("1.0")));
	root = must(xmlNewDocNode(writer->document, NULL, xml("Envelope"), NULL));
	(void)xmlDocSetRootElement(writer->document, root);
	xmlSetNs(root, space_find(root, SOAP_SPACE));
	writer->body = soap_add(root, SOAP_SPACE, "Body");
}

void soap_writer_fini(struct soap_writer *writer)
{
	xmlFreeDoc(writer->document);
	*writer = (struct soap_writer){ 0 };
}

xmlNode *soap_writer_header(struct soap_writer *writer)
{
	xmlNode *before = writer->body->prev;

	if (before)
		return before;
	before = must(xmlNewDocNode(
		writer->document, space_of(writer->body, SOAP_SPACE), xml("Header"), NULL));
	return must(xmlAddPrevSibling(writer->body, before));
}

char *soap_writer_text(const struct soap_writer *writer, size_t *bytes)
{
	xmlChar *text = NULL;
	char *copy;
	int n = 0;

	xmlDocDumpMemoryEnc(writer->document, &text, &n, "UTF-8");
	copy = xstrndup(must(text), (size_t)n);
	xmlFree(text);
	*bytes = (size_t)n;
	return copy;
}

/* --- elements --- */

xmlNode *soap_add(xmlNode *parent, const char *space, const char *name)
{
	xmlNs *ns = *space ? space_of(parent, space) : NULL;

	return must(xmlAddChild(parent, must(xmlNewDocNode(parent->doc, ns, xml(name), NULL))));
}

/* A copy in which all is text of XML 1.0; ours to free. */
static char *clean(const char *text)
{
	char *copy = xstrdup(text);
	bool is_utf8 = xmlCheckUTF8(xml(text));

	for (char *p = copy; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if ((c < ' ' && !strchr("\t\r\n", c)) || (c >= 0x80 && !is_utf8))
			*p = '?';
	}
	return copy;
}

xmlNode *soap_add_text(xmlNode *parent, const char *space, const char *name, const char *text)
{
	char *copy = clean(text);
	xmlNode *node =
		must(xmlNewTextChild(parent, space_of(parent, space), xml(name), xml(copy)));

	free(copy);
	return node;
}

static char *format_text(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		abort();
	return text;
}

xmlNode *soap_add_format(
	xmlNode *parent, const char *space, const char *name, const char *format, ...)
{
	xmlNode *node;
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	node = soap_add_text(parent, space, name, text);
	free(text);
	return node;
}

xmlNode *soap_add_bool(xmlNode *parent, const char *space, const char *name, bool value)
{
	return soap_add_text(parent, space, name, value ? "true" : "false");
}

xmlNode *soap_add_integer(xmlNode *parent, const char *space, const char *name, int64_t value)
{
	return soap_add_format(parent, space, name, "%lld", (long long)value);
}

xmlNode *soap_add_time(xmlNode *parent, const char *space, const char *name, int64_t utc_us)
{
	char text[XSD_TIME_BYTES];

	return soap_add_text(parent, space, name, xsd_time_write(text, utc_us));
}

xmlNode *soap_add_duration(xmlNode *parent, const char *space, const char *name, int64_t us)
{
	char text[XSD_DURATION_BYTES];

	return soap_add_text(parent, space, name, xsd_duration_write(text, us));
}

void soap_set(xmlNode *node, const char *name, const char *value)
{
	char *copy = clean(value);

	(void)must(xmlNewProp(node, xml(name), xml(copy)));
	free(copy);
}

void soap_set_format(xmlNode *node, const char *name, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	soap_set(node, name, text);
	free(text);
}

void soap_set_bool(xmlNode *node, const char *name, bool value)
{
	soap_set(node, name, value ? "true" : "false");
}

void soap_set_integer(xmlNode *node, const char *name, int64_t value)
{
	soap_set_format(node, name, "%lld", (long long)value);
}

void soap_set_of(xmlNode *node, const char *space, const char *name, const char *value)
{
	char *copy = clean(value);

	(void)must(xmlNewNsProp(node, space_of(node, space), xml(name), xml(copy)));
	free(copy);
}

/* --- faults --- */

static xmlNode *add_code(xmlNode *parent, const char *name, const char *value)
{
	xmlNode *code = soap_add(parent, SOAP_SPACE, name);

	soap_add_text(code, SOAP_SPACE, "Value", value);
	return code;
}

void soap_write_fault(struct soap_writer *writer, const char *code, const char *subcode,
	const char *subsubcode, const char *reason)
{
	xmlNode *fault = soap_add(writer->body, SOAP_SPACE, "Fault"), *node;

	(void)soap_declare(fault, SOAP_ERROR_SPACE);
	node = add_code(fault, "Code", code);
	if (subcode)
		node = add_code(node, "Subcode", subcode);
	if (subcode && subsubcode)
		(void)add_code(node, "Subcode", subsubcode);
	node = soap_add_text(soap_add(fault, SOAP_SPACE, "Reason"), SOAP_SPACE, "Text", reason);
	(void)must(xmlNewNsProp(node, must(xmlSearchNs(writer->document, node, xml("xml"))),
		xml("lang"), xml("en")));
}
