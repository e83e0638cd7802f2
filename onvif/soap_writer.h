#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libxml/tree.h>

#include "onvif/soap_message.h"
#include "server/base/attributes.h"

/*
 * Writing SOAP 1.2 messages: an envelope, and elements that are added by namespace; prefixes are ONVIF's, and all are declared at the
 * envelope. Memory that is gone ends the process.
 */
struct soap_writer {
	xmlDoc *document; /* owned */
	xmlNode *body;
};

/* The caller calls soap_writer_fini(). */
void soap_writer_init(struct soap_writer *writer);
void soap_writer_fini(struct soap_writer *writer); /* may be called twice, and for zeroes */
/* The header, which is made by the first call. */
xmlNode *soap_writer_header(struct soap_writer *writer);
/* The message as text of *bytes, NUL-ended, which the caller frees. */
char *soap_writer_text(const struct soap_writer *writer, size_t *bytes) MUST_CHECK;

/* A new last child of parent; the namespace is one of soap_message.h, any, or "" for none. */
xmlNode *soap_add(xmlNode *parent, const char *space, const char *name);
/* The same with text in it, in which what XML cannot hold becomes '?'. */
xmlNode *soap_add_text(xmlNode *parent, const char *space, const char *name, const char *text);
xmlNode *soap_add_format(
	xmlNode *parent, const char *space, const char *name, const char *format, ...) PRINTF(4, 5);
xmlNode *soap_add_bool(xmlNode *parent, const char *space, const char *name, bool value);
xmlNode *soap_add_integer(xmlNode *parent, const char *space, const char *name, int64_t value);
xmlNode *soap_add_time(xmlNode *parent, const char *space, const char *name, int64_t utc_us);
xmlNode *soap_add_duration(xmlNode *parent, const char *space, const char *name, int64_t us);
/* An attribute without a namespace. */
void soap_set(xmlNode *node, const char *name, const char *value);
void soap_set_format(xmlNode *node, const char *name, const char *format, ...) PRINTF(3, 4);
void soap_set_bool(xmlNode *node, const char *name, bool value);
void soap_set_integer(xmlNode *node, const char *name, int64_t value);
/* An attribute of a namespace, such as wsu:Id. */
void soap_set_of(xmlNode *node, const char *space, const char *name, const char *value);
/* Declares the namespace, for names in text such as topics; returns its prefix. */
const char *soap_declare(xmlNode *node, const char *space);

/*
 * A fault in the body (ONVIF Core Specification, "Error handling"). Codes are with prefixes, such as "env:Sender" and "ter:NotAuthorized";
 * subcodes may be NULL.
 */
void soap_write_fault(struct soap_writer *writer, const char *code, const char *subcode,
	const char *subsubcode, const char *reason);
