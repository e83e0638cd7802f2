/* The If field, Lock-Token, Timeout; and the bodies of PROPPATCH and LOCK. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libxml/parser.h>

#include "protocols/dav_if.h"
#include "protocols/dav_update.h"
#include "server/base/memory.h"

static struct message_text text_of(const char *s)
{
	return (struct message_text){ s, strlen(s) };
}

/* "resource:" of a tagged list, then its conditions: !not, [etag], token; lists end with ';'. */
static char *show(const struct dav_if *lists)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < lists->n_lists; i++) {
		const struct dav_if_list *list = &lists->lists[i];
		char *longer = xasprintf("%s%.*s%s", text, (int)list->resource.n,
			list->resource.p ? list->resource.p : "", list->resource.p ? ": " : "");

		free(text);
		text = longer;
		for (size_t k = list->first; k < list->first + list->n; k++) {
			const struct dav_if_condition *c = &lists->conditions[k];

			longer = xasprintf("%s%s%s%.*s%s ", text, c->is_not ? "!" : "",
				c->is_etag ? "[" : "", (int)c->value.n, c->value.p,
				c->is_etag ? "]" : "");
			free(text);
			text = longer;
		}
		longer = xasprintf("%s; ", text);
		free(text);
		text = longer;
	}
	return text;
}

static void test_fields_are_understood(void **state)
{
	static const struct {
		const char *field, *shown;
	} cases[] = {
  /* RFC 4918 sections 10.4.6 to 10.4.9 */
		{"(<urn:uuid:181d4fae-7d8c-11d0-a765-00a0c91e6bf2> [\"I am an ETag\"]) ([\"I am another ETag\"])",
                 "urn:uuid:181d4fae-7d8c-11d0-a765-00a0c91e6bf2 [\"I am an ETag\"] ; [\"I am another ETag\"] ; "                   },
		{ "(Not <urn:uuid:181d4fae> <urn:uuid:58f202ac>)",
                 "!urn:uuid:181d4fae urn:uuid:58f202ac ; "									 },
		{ "(<urn:uuid:181d4fae>) (Not <DAV:no-lock>)",
                 "urn:uuid:181d4fae ; !DAV:no-lock ; "									     },
		{ "</resource1> (<urn:uuid:1> [W/\"A weak ETag\"]) ([\"strong ETag\"])",
                 "/resource1: urn:uuid:1 [W/\"A weak ETag\"] ; /resource1: [\"strong ETag\"] ; "                                   },
		{ "<http://www.example.com/specs/> (<urn:uuid:1>) </x> (Not [\"4217\"])",
                 "http://www.example.com/specs/: urn:uuid:1 ; /x: ![\"4217\"] ; "                                                  },
		{ "(<a:b>)(<c:d>)",										"a:b ; c:d ; "  },
		{ "\t(  Not<a:b>[\"\"]  )  ",								      "!a:b [\"\"] ; "},
	};
	struct dav_if *lists = xmalloc(sizeof(*lists));

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const char *why = NULL;
		char *shown;

		if (dav_if_parse(lists, text_of(cases[i].field), &why) < 0)
			fail_msg("%s: %s", why, cases[i].field);
		shown = show(lists);
		assert_string_equal(shown, cases[i].shown);
		free(shown);
	}
	free(lists);
}

static void refuse(const char *field, size_t n)
{
	struct dav_if *lists = xmalloc(sizeof(*lists));
	char *exact = n ? memcpy(xmalloc(n), field, n) : NULL;
	const char *why = NULL;

	if (dav_if_parse(lists, (struct message_text){ exact, n }, &why) != -EBADMSG || !why)
		fail_msg("accepted: %.*s", (int)n, field);
	free(exact);
	free(lists);
}

static void test_wrong_fields_are_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		" ",
		"(",
		"()",
		"(Not)",
		"(<>)",
		"([])",
		"([x])",
		"([\"a\"b\"])",
		"(<a b>)",
		"(<a<b>)",
		"(a)",
		"(<a:b>",
		"(<a:b>) x",
		"(<a:b>) </x> (<c:d>)",
		"</x>",
		"</x> </y> (<a:b>)",
		"</x> (<a:b>) </y>",
		"</x y> (<a:b>)",
		"</x (<a:b>)",
		"((<a:b>))",
		"(<a:b>), (<c:d>)",
		"(NOT <a:b>)",
	};
	static const char good[] = "</x> (<a:b> [\"e\"]) (Not <c:d>)";
	char *many;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		refuse(wrong[i], strlen(wrong[i]));
	for (size_t n = 0; n < sizeof(good) - 1; n++) {
		if (n != strlen("</x> (<a:b> [\"e\"])") && n != strlen("</x> (<a:b> [\"e\"]) "))
			refuse(good, n);
	}
	many = xcalloc(1, (size_t)(DAV_IF_LISTS + 1) * 5 + 1);
	for (int i = 0; i <= DAV_IF_LISTS; i++)
		strcat(many, "(<a>)");
	refuse(many, strlen(many));
	free(many);
	many = xcalloc(1, (size_t)(DAV_IF_CONDITIONS + 1) * 3 + 3);
	strcat(many, "(");
	for (int i = 0; i <= DAV_IF_CONDITIONS; i++)
		strcat(many, "<a>");
	strcat(many, ")");
	refuse(many, strlen(many));
	free(many);
}

static void test_lock_tokens(void **state)
{
	static const char *const wrong[] = { "", "<>", "urn:x>", "urn: x", "<urn:x", "<urn: x>",
		"<a><b>", "<a> <b>", "<<a>>" };
	static const char *const fine[] = { " <urn:uuid:1> ", "urn:uuid:1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(fine); i++) {
		struct message_text url = dav_if_coded_url(text_of(fine[i]));

		assert_true(url.n == 10 && !memcmp(url.p, "urn:uuid:1", 10));
	}
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		assert_null(dav_if_coded_url(text_of(wrong[i])).p);
	assert_null(dav_if_coded_url((struct message_text){ NULL, 0 }).p);
}

static void test_timeouts(void **state)
{
	static const struct {
		const char *field;
		uint32_t seconds;
	} cases[] = {
		{"Second-3600",                     3600                },
		{ "Infinite, Second-4100000000",    DAV_TIMEOUT_INFINITE},
		{ "second-5, Second-7",             5                   },
		{ "Second-4294967295",              DAV_TIMEOUT_INFINITE},
		{ "Second-99999999999999999999999", DAV_TIMEOUT_INFINITE},
		{ "Extend, Second-9",               9                   },
		{ "Second-",                        77                  },
		{ "Second-x",                       77                  },
		{ "",			       77                  },
		{ ", ,",			    77                  },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		assert_int_equal(dav_if_timeout(text_of(cases[i].field), 77), cases[i].seconds);
	assert_int_equal(dav_if_timeout((struct message_text){ NULL, 0 }, 77), 77);
}

/* --- bodies --- */

static void test_updates_keep_elements_whole(void **state)
{
	/* clang-format off */
	static const struct {
		const char *body;
		const char *elements[3]; /* "-name" for what is removed */
	} cases[] = {
		/* RFC 4918 section 9.2.2, shortened */
		{ "<D:propertyupdate xmlns:D=\"DAV:\" xmlns:Z=\"http://ns/z/\"><D:set><D:prop><Z:Authors>"
			"<Z:Author>Jim</Z:Author><Z:Author>Roy</Z:Author></Z:Authors></D:prop></D:set>"
			"<D:remove><D:prop><Z:Copyright-Owner/></D:prop></D:remove></D:propertyupdate>",
			{ "<Authors xmlns=\"http://ns/z/\"><Author>Jim</Author><Author>Roy</Author></Authors>",
				"-Copyright-Owner" } },
		{ "<propertyupdate xmlns=\"DAV:\"><set><prop><x xmlns=\"\">a &lt; b &amp; <![CDATA[<c>]]></x></prop></set></propertyupdate>",
			{ "<x xmlns=\"\">a &#60; b &#38; &#60;c&#62;</x>" } },
		{ "<propertyupdate xmlns=\"DAV:\" xml:lang=\"de\"><set><prop><n xmlns=\"u\" b=\"1&#10;2\" y:c=\"&quot;\" xmlns:y=\"v\"/></prop></set></propertyupdate>",
			{ "<n xmlns=\"u\" b=\"1&#10;2\" xmlns:a1=\"v\" a1:c=\"&#34;\" xml:lang=\"de\"></n>" } },
		{ "<propertyupdate xmlns=\"DAV:\" xml:lang=\"de\"><set><prop><n xmlns=\"u\" xml:lang=\"en\"><a xmlns=\"w\"/></n></prop></set></propertyupdate>",
			{ "<n xmlns=\"u\" xml:lang=\"en\"><a xmlns=\"w\"></a></n>" } },
		{ "<propertyupdate xmlns=\"DAV:\"><other><prop><a/></prop></other><remove><prop><a/></prop></remove><set><prop><a>1</a><b/></prop></set></propertyupdate>",
			{ "-a", "<a xmlns=\"DAV:\">1</a>", "<b xmlns=\"DAV:\"></b>" } },
	};
	/* clang-format on */
	struct dav_update *update = xmalloc(sizeof(*update));

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const char *why = NULL;
		size_t n = 0;

		if (dav_update_parse(update, cases[i].body, strlen(cases[i].body), &why) < 0)
			fail_msg("%s: %s", why, cases[i].body);
		for (; n < 3 && cases[i].elements[n]; n++) {
			const char *expected = cases[i].elements[n];

			assert_true(n < update->n);
			if (*expected == '-') {
				assert_null(update->changes[n].element);
				assert_string_equal(update->changes[n].name.name, expected + 1);
			} else {
				assert_string_equal(update->changes[n].element, expected);
			}
		}
		assert_int_equal(update->n, n);
	}
	free(update);
}

static void test_wrong_bodies_are_refused(void **state)
{
	static const char *const updates[] = {
		"",
		"x",
		"<propertyupdate xmlns=\"DAV:\"/>",
		"<propertyupdate xmlns=\"DAV:\"><set><prop/></set></propertyupdate>",
		"<propertyupdate><set><prop><x/></prop></set></propertyupdate>",
		"<propertyupdate xmlns=\"DAV:\"><set><prop><x></prop></set></propertyupdate>",
		"<propertyupdate xmlns=\"DAV:\"><set><prop><x>&e;</x></prop></set></propertyupdate>",
		"<!DOCTYPE a [<!ENTITY e \"x\">]><propertyupdate xmlns=\"DAV:\"><set><prop><x>&e;</x></prop></set></propertyupdate>",
		"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><propertyupdate xmlns=\"DAV:\"><set><prop><x/></prop></set></propertyupdate>",
	};
	static const char *const locks[] = {
		"",
		"<lockinfo xmlns=\"DAV:\"/>",
		"<lockinfo xmlns=\"DAV:\"><lockscope><exclusive/></lockscope></lockinfo>",
		"<lockinfo xmlns=\"DAV:\"><locktype><write/></locktype></lockinfo>",
		"<lockinfo><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>",
		"<!DOCTYPE a><lockinfo xmlns=\"DAV:\"><lockscope><shared/></lockscope><locktype><write/></locktype></lockinfo>",
		"<lockinfo xmlns=\"DAV:\"><lockscope><shared/></lockscope><locktype><write/></locktype><owner/><owner/></lockinfo>",
	};
	struct dav_update *update = xmalloc(sizeof(*update));
	struct dav_lock_wish wish;
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(updates); i++) {
		why = NULL;
		if (dav_update_parse(update, updates[i], strlen(updates[i]), &why) != -EBADMSG ||
			!why)
			fail_msg("accepted: %s", updates[i]);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(locks); i++) {
		why = NULL;
		if (dav_lock_parse(&wish, locks[i], strlen(locks[i]), &why) != -EBADMSG || !why)
			fail_msg("accepted: %s", locks[i]);
	}
	free(update);
}

static void test_what_has_no_room_is_refused(void **state)
{
	static const char head[] = "<propertyupdate xmlns=\"DAV:\"><set><prop>",
			  tail[] = "</prop></set></propertyupdate>";
	struct dav_update *update = xmalloc(sizeof(*update));
	char *body = xmalloc(DAV_UPDATE_BYTES + 200), *at;
	struct dav_lock_wish wish;
	const char *why = NULL;

	(void)state;
	(void)sprintf(body, "%s<x>%*s</x>%s", head, DAV_UPDATE_BYTES, "", tail);
	assert_int_equal(dav_update_parse(update, body, strlen(body), &why), -EBADMSG);
	at = body + sprintf(body, "%s", head);
	for (int i = 0; i <= DAV_UPDATES; i++)
		at += sprintf(at, "<x/>");
	(void)strcpy(at, tail);
	assert_int_equal(dav_update_parse(update, body, strlen(body), &why), -EBADMSG);
	(void)sprintf(body,
		"<lockinfo xmlns=\"DAV:\"><lockscope><shared/></lockscope><locktype><write/></locktype><owner>%*s</owner></lockinfo>",
		DAV_OWNER_BYTES, "");
	assert_int_equal(dav_lock_parse(&wish, body, strlen(body), &why), -EBADMSG);
	free(body);
	free(update);
}

static void test_lockinfos(void **state)
{
	/* RFC 4918 section 9.10.7 */
	static const char body[] =
		"<D:lockinfo xmlns:D='DAV:'><D:lockscope><D:exclusive/></D:lockscope>"
		"<D:locktype><D:write/></D:locktype>"
		"<D:owner><D:href>http://example.org/~ejw/contact.html</D:href></D:owner></D:lockinfo>";
	struct dav_lock_wish wish;
	const char *why = NULL;

	(void)state;
	assert_int_equal(dav_lock_parse(&wish, body, strlen(body), &why), 0);
	assert_true(wish.exclusive);
	assert_string_equal(wish.owner,
		"<owner xmlns=\"DAV:\"><href>http://example.org/~ejw/contact.html</href></owner>");
	for (size_t n = 0; n < strlen(body); n++)
		assert_int_equal(dav_lock_parse(&wish, body, n, &why), -EBADMSG);
}

static int tear_down(void **state)
{
	(void)state;
	xmlCleanupParser();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_are_understood),
		cmocka_unit_test(test_wrong_fields_are_refused),
		cmocka_unit_test(test_lock_tokens),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_updates_keep_elements_whole),
		cmocka_unit_test(test_wrong_bodies_are_refused),
		cmocka_unit_test(test_what_has_no_room_is_refused),
		cmocka_unit_test(test_lockinfos),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
