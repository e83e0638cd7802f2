/* See multistatus.h. */
#include "tests/multistatus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <libxml/parser.h>
#include <libxml/xpathInternals.h>

#include "tests/http_conversation.h"

struct multistatus multistatus_of(char *answer)
{
	struct multistatus m;
	char *body = strstr(answer, "\r\n\r\n") + 4;

	if (strncmp(answer, "HTTP/1.1 207 Multi-Status\r\n", 27) != 0)
		fail_msg("no multistatus:\n%.2000s", answer);
	assert_non_null(strstr(answer, "\r\nContent-Type: application/xml; charset=utf-8\r\n"));
	if (strstr(answer, "\r\nTransfer-Encoding: chunked\r\n"))
		assert_true(http_unchunk(body) > 0);
	m.document = xmlReadMemory(
		body, (int)strlen(body), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOENT);
	if (!m.document)
		fail_msg("not well-formed:\n%.2000s", body);
	m.context = xmlXPathNewContext(m.document);
	assert_int_equal(
		xmlXPathRegisterNs(m.context, (const xmlChar *)"D", (const xmlChar *)"DAV:"), 0);
	assert_int_equal(xmlXPathRegisterNs(
				 m.context, (const xmlChar *)"N", (const xmlChar *)"urn:nvrd:dav"),
		0);
	assert_int_equal(
		xmlXPathRegisterNs(m.context, (const xmlChar *)"x", (const xmlChar *)"urn:&x"), 0);
	return m;
}

void multistatus_fini(struct multistatus *m)
{
	xmlXPathFreeContext(m->context);
	xmlFreeDoc(m->document);
}

void assert_xpath(struct multistatus *m, const char *expression, const char *expected)
{
	xmlXPathObjectPtr result = xmlXPathEvalExpression((const xmlChar *)expression, m->context);

	assert_non_null(result);
	xmlChar *text = xmlXPathCastToString(result);
	if (strcmp((const char *)text, expected) != 0)
		fail_msg("%s is \"%s\", not \"%s\"", expression, (const char *)text, expected);
	xmlFree(text);
	xmlXPathFreeObject(result);
}
