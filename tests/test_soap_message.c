/* SOAP messages: read by namespace, refused where they cost more than they are worth, and written so that they are read again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "onvif/soap_message.h"
#include "onvif/soap_writer.h"
#include "server/base/memory.h"

#define OPEN "<s:Envelope xmlns:s='" SOAP_SPACE "'><s:Body>"
#define CLOSE "</s:Body></s:Envelope>"

static int parse(struct soap_message *message, const char *text)
{
	const char *why = NULL;
	char *copy = strdup(text); /* of the exact size */
	int error = soap_message_parse(message, copy, strlen(text), SOAP_REQUEST_BYTES, &why);

	free(copy);
	assert_true(error == 0 || (error == -EBADMSG && why));
	return error;
}

static void the_body_is_found_whatever_the_prefixes(void **state)
{
	static const char *const texts[] = {
		OPEN "<tds:GetServices xmlns:tds='" SOAP_DEVICE_SPACE "'/>" CLOSE,
		"\xef\xbb\xbf<?xml version='1.0' encoding='utf-16'?>\n<Envelope xmlns='" SOAP_SPACE
		"'><Header/><Body><!-- --><GetServices xmlns='" SOAP_DEVICE_SPACE
		"'/></Body></Envelope>",
		"<a:Envelope xmlns:a='" SOAP_11_SPACE "' xmlns:b='" SOAP_SPACE
		"'><a:Header/><b:Body> <c:GetServices xmlns:c='" SOAP_DEVICE_SPACE
		"'/></b:Body></a:Envelope>",
	};
	struct soap_message message;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		if (parse(&message, texts[i]) < 0)
			fail_msg("refused: %s", texts[i]);
		assert_string_equal(message.space, SOAP_DEVICE_SPACE);
		assert_string_equal(message.name, "GetServices");
		assert_true(soap_is(message.body, SOAP_DEVICE_SPACE, "GetServices"));
		soap_message_fini(&message);
		soap_message_fini(&message);
	}
}

static void what_is_no_message_is_refused(void **state)
{
	static const char *const texts[] = { "", "<", "text", "<a/>", OPEN CLOSE, OPEN "text" CLOSE,
		OPEN "<a>" CLOSE, OPEN "<b:a/>" CLOSE, OPEN "<a/>", OPEN "<a>&b;</a>" CLOSE,
		OPEN "<a>\xff</a>" CLOSE, "<Envelope><Body><a/></Body></Envelope>",
		"<!DOCTYPE a>" OPEN "<a/>" CLOSE,
		"<!DOCTYPE a SYSTEM 'file:///etc/passwd'>" OPEN "<a/>" CLOSE,
		"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>" OPEN "<a>&b;</a>" CLOSE };
	struct soap_message message;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		if (parse(&message, texts[i]) != -EBADMSG)
			fail_msg("taken: %s", texts[i]);
	}
}

/* open + n times `piece` + close */
static char *repeat(const char *open, const char *piece, size_t n, const char *close)
{
	size_t bytes = strlen(piece);
	char *text = xmalloc(strlen(open) + n * bytes + strlen(close) + 1), *p;

	p = stpcpy(text, open);
	for (size_t i = 0; i < n; i++)
		p = stpcpy(p, piece);
	(void)stpcpy(p, close);
	return text;
}

static int parse_repeated(const char *open, const char *piece, size_t n, const char *close)
{
	struct soap_message message;
	char *text = repeat(open, piece, n, close);
	int error = parse(&message, text);

	if (!error)
		soap_message_fini(&message);
	free(text);
	return error;
}

static void size_depth_and_attributes_have_limits(void **state)
{
	size_t room = SOAP_REQUEST_BYTES - strlen(OPEN "<a></a>" CLOSE);
	char *closing = repeat("", "</a>", SOAP_DEPTH - 2, CLOSE);
	char *one_more = repeat("", "</a>", SOAP_DEPTH - 1, CLOSE);

	(void)state;
	assert_int_equal(parse_repeated(OPEN "<a>", "x", room, "</a>" CLOSE), 0);
	assert_int_equal(parse_repeated(OPEN "<a>", "x", room + 1, "</a>" CLOSE), -EBADMSG);
	assert_int_equal(parse_repeated(OPEN, "<a>", SOAP_DEPTH - 2, closing), 0);
	assert_int_equal(parse_repeated(OPEN, "<a>", SOAP_DEPTH - 1, one_more), -EBADMSG);
	assert_int_equal(parse_repeated(OPEN "<a ", "=", 513, "/>" CLOSE), -EBADMSG);
	assert_int_equal(parse_repeated(OPEN "<a>", "=", 512, "</a>" CLOSE), 0);
	assert_int_equal(parse_repeated(OPEN "<a>", "<b xmlns='c'/>", 511, "</a>" CLOSE), 0);
	assert_int_equal(parse_repeated(OPEN "<a>", "<b xmlns='c'/>", 512, "</a>" CLOSE), -EBADMSG);
	free(closing);
	free(one_more);
}

static void what_stands_in_elements_is_read(void **state)
{
	const char *text =
		OPEN "<q:Q xmlns:q='urn:q' xmlns:r='urn:r' a=' b ' r:a='c'>"
		     "<q:s> two\nlines </q:s><r:s>other</r:s><q:s><![CDATA[<&]]></q:s>"
		     "<q:n>-17</q:n><q:n>17x</q:n><q:b>1</q:b><q:b>false</q:b><q:b>yes</q:b>"
		     "<q:t>1970-01-01T00:00:01Z</q:t><q:d>PT2S</q:d><q:e/></q:Q>" CLOSE;
	struct soap_message message;
	const xmlNode *q, *node;
	char ret[16];
	int64_t number = 0;
	bool truth = false;

	(void)state;
	assert_int_equal(parse(&message, text), 0);
	q = message.body;
	assert_true(soap_attribute(q, "a", ret, sizeof(ret)));
	assert_string_equal(ret, "b");
	assert_false(soap_attribute(q, "z", ret, sizeof(ret)));
	node = soap_child(q, "urn:q", "s");
	assert_true(soap_text(node, ret, sizeof(ret)));
	assert_string_equal(ret, "two\nlines");
	assert_false(soap_text(node, ret, strlen("two\nlines")));
	assert_string_equal(ret, "");
	node = soap_next(node);
	assert_true(soap_text(node, ret, sizeof(ret)));
	assert_string_equal(ret, "<&");
	assert_null(soap_next(node));
	node = soap_child(q, "urn:q", "n");
	assert_true(soap_integer(node, &number));
	assert_int_equal(number, -17);
	assert_false(soap_integer(soap_next(node), &number));
	node = soap_child(q, "urn:q", "b");
	assert_true(soap_bool(node, &truth) && truth);
	node = soap_next(node);
	assert_true(soap_bool(node, &truth) && !truth);
	assert_false(soap_bool(soap_next(node), &truth));
	assert_true(soap_time(soap_child(q, "urn:q", "t"), &number));
	assert_int_equal(number, 1000000);
	assert_true(soap_duration(soap_child(q, "urn:q", "d"), &number));
	assert_int_equal(number, 2000000);
	assert_true(soap_text(soap_child(q, "urn:q", "e"), ret, sizeof(ret)));
	assert_null(soap_child(q, "urn:none", "s"));
	assert_null(soap_child(soap_child(NULL, "a", "b"), "urn:q", "s"));
	assert_false(soap_text(NULL, ret, sizeof(ret)));
	soap_message_fini(&message);
}

static void tokens_are_read(void **state)
{
	const char *head =
		"<s:Envelope xmlns:s='" SOAP_SPACE "' xmlns:w='" SOAP_WSSE_SPACE
		"' xmlns:u='" SOAP_WSU_SPACE
		"'><s:Header><w:Security><w:UsernameToken><w:Username>anna</w:Username>"
		"<w:Password Type='urn:x#PasswordDigest'>abc=</w:Password><w:Nonce>bm9uY2U=</w:Nonce>"
		"<u:Created>2026-11-20T14:30:00Z</u:Created></w:UsernameToken></w:Security></s:Header>"
		"<s:Body><a/></s:Body></s:Envelope>";
	struct soap_message message;
	struct soap_token token;

	(void)state;
	assert_int_equal(parse(&message, head), 0);
	assert_true(soap_read_token(&message, &token));
	assert_string_equal(token.username, "anna");
	assert_string_equal(token.password, "abc=");
	assert_string_equal(token.nonce, "bm9uY2U=");
	assert_string_equal(token.created, "2026-11-20T14:30:00Z");
	assert_true(token.is_digest);
	soap_message_fini(&message);
	assert_int_equal(parse(&message, OPEN "<a/>" CLOSE), 0);
	assert_false(soap_read_token(&message, &token));
	soap_message_fini(&message);
}

static void faults_are_written_and_read(void **state)
{
	struct soap_writer writer;
	struct soap_message message;
	struct soap_fault fault;
	size_t bytes;
	char *text;

	(void)state;
	soap_writer_init(&writer);
	soap_write_fault(
		&writer, "env:Sender", "ter:InvalidArgVal", "ter:NoProfile", "no <such> one");
	text = soap_writer_text(&writer, &bytes);
	assert_int_equal(bytes, strlen(text));
	assert_int_equal(parse(&message, text), 0);
	assert_true(soap_read_fault(&message, &fault));
	assert_string_equal(fault.code, "Sender");
	assert_string_equal(fault.subcode, "InvalidArgVal");
	assert_string_equal(fault.subsubcode, "NoProfile");
	assert_string_equal(fault.reason, "no <such> one");
	soap_message_fini(&message);
	free(text);
	soap_writer_fini(&writer);
	assert_int_equal(
		parse(&message, "<e:Envelope xmlns:e='" SOAP_11_SPACE
				"'><e:Body><e:Fault><faultcode>e:Client</faultcode>"
				"<faultstring>no</faultstring></e:Fault></e:Body></e:Envelope>"),
		0);
	assert_true(soap_read_fault(&message, &fault));
	assert_string_equal(fault.code, "Client");
	assert_string_equal(fault.reason, "no");
	soap_message_fini(&message);
	assert_int_equal(parse(&message, OPEN "<a/>" CLOSE), 0);
	assert_false(soap_read_fault(&message, &fault));
	soap_message_fini(&message);
}

static void what_is_written_has_onvifs_prefixes(void **state)
{
	struct soap_writer writer;
	xmlNode *node;
	size_t bytes;
	char *text;

	(void)state;
	soap_writer_init(&writer);
	node = soap_add(writer.body, SOAP_DEVICE_SPACE, "R");
	soap_set(node, "token", "a\"<");
	soap_set_bool(node, "fixed", true);
	soap_set_integer(node, "n", -1);
	soap_set_of(node, SOAP_WSU_SPACE, "Id", "i");
	(void)soap_add_text(node, SOAP_SCHEMA_SPACE, "T", "a & b\x01\xff");
	(void)soap_add_text(node, "urn:other", "O", "\xc3\xa4");
	(void)soap_add_time(node, SOAP_DEVICE_SPACE, "W", 0);
	(void)soap_add_duration(node, SOAP_DEVICE_SPACE, "D", 1000000);
	(void)soap_add(soap_writer_header(&writer), SOAP_WSA_SPACE, "Action");
	assert_ptr_equal(soap_writer_header(&writer), soap_writer_header(&writer));
	assert_string_equal(soap_declare(node, SOAP_TOPICS_SPACE), "tns1");
	text = soap_writer_text(&writer, &bytes);
	assert_string_equal(text,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<env:Envelope xmlns:env=\"" SOAP_SPACE
		"\" xmlns:tds=\"" SOAP_DEVICE_SPACE "\" xmlns:wsu=\"" SOAP_WSU_SPACE
		"\" xmlns:tt=\"" SOAP_SCHEMA_SPACE
		"\" xmlns:n4=\"urn:other\" xmlns:wsa=\"" SOAP_WSA_SPACE
		"\" xmlns:tns1=\"" SOAP_TOPICS_SPACE
		"\"><env:Header><wsa:Action/></env:Header><env:Body>"
		"<tds:R token=\"a&quot;&lt;\" fixed=\"true\" n=\"-1\" wsu:Id=\"i\"><tt:T>a &amp; b?\?</tt:T>"
		"<n4:O>\xc3\xa4</n4:O><tds:W>1970-01-01T00:00:00Z</tds:W><tds:D>PT1S</tds:D></tds:R>"
		"</env:Body></env:Envelope>\n");
	free(text);
	soap_writer_fini(&writer);
	soap_writer_fini(&writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_body_is_found_whatever_the_prefixes),
		cmocka_unit_test(what_is_no_message_is_refused),
		cmocka_unit_test(size_depth_and_attributes_have_limits),
		cmocka_unit_test(what_stands_in_elements_is_read),
		cmocka_unit_test(tokens_are_read),
		cmocka_unit_test(faults_are_written_and_read),
		cmocka_unit_test(what_is_written_has_onvifs_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
