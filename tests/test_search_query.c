/* The grammar of DAV:basicsearch (RFC 5323), its operators, and the bounds that are drawn from it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libxml/parser.h>

#include "protocols/http_date.h"
#include "protocols/search_query.h"
#include "server/base/memory.h"

#define SELECT "<D:select><D:allprop/></D:select>"
#define FROM \
	"<D:from><D:scope><D:href>/recordings/</D:href><D:depth>infinity</D:depth></D:scope></D:from>"
#define START "<D:prop><N:start/></D:prop>"
#define CAMERA "<D:prop><N:camera/></D:prop>"
#define WIDTH "<D:prop><N:width/></D:prop>"
#define IS(property, operator, literal)                                                      \
	"<D:" operator"><D:prop>" property "</D:prop><D:literal>" literal "</D:literal></D:" \
	operator">"
#define NOON INT64_C(1795176000000000) /* 2026-11-20T12:00:00Z */

static struct search_query *query;

static int set_up(void **state)
{
	(void)state;
	query = xmalloc(sizeof(*query));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(query);
	xmlCleanupParser();
	return 0;
}

static int parse_text(const char *text, const char **condition, const char **why)
{
	size_t n = strlen(text);
	char *exact = xmalloc(n + 1);
	int error;

	memcpy(exact, text, n);
	error = search_query_parse(query, exact, n, condition, why);
	free(exact);
	return error;
}

/* A basicsearch with this in it. */
static int parse(const char *inside, const char **condition, const char **why)
{
	char *text = xasprintf(
		"<?xml version=\"1.0\"?><D:searchrequest xmlns:D=\"DAV:\" xmlns:N=\"urn:nvrd:dav\" "
		"xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
		"xmlns:xs=\"http://www.w3.org/2001/XMLSchema\">"
		"<D:basicsearch>%s</D:basicsearch></D:searchrequest>",
		inside);
	int error = parse_text(text, condition, why);

	free(text);
	return error;
}

static void parse_where(const char *where)
{
	const char *condition, *why;
	char *text = xasprintf(SELECT FROM "<D:where>%s</D:where>", where);

	if (parse(text, &condition, &why) != 0)
		fail_msg("%s: %s", where, why);
	free(text);
}

static void test_a_query_is_understood(void **state)
{
	const char *condition, *why;

	(void)state;
	assert_int_equal(
		parse("<D:select><D:prop><D:getetag/><N:start/><note xmlns='urn:x'/></D:prop></D:select>"
		      "<D:from><D:scope> <D:href> /recordings/porch/ </D:href>\n<D:depth>1</D:depth></D:scope></D:from>"
		      "<D:where><D:and>" IS("<N:camera/>", "eq", "po&amp;<![CDATA[<r>]]>ch") IS(
			      "<N:width/>", "gte",
			      " 1920 ") "<D:not><D:is-collection/></D:not></D:and></D:where>"
					"<D:orderby><D:order><D:prop><N:start/></D:prop><D:descending/></D:order>"
					"<D:order caseless='yes'>" CAMERA "</D:order></D:orderby>"
					"<D:limit><D:nresults> 10 </D:nresults></D:limit>",
			&condition, &why),
		0);
	assert_int_equal(query->select.kind, DAV_PROP);
	assert_int_equal(query->select.n_properties, 3);
	assert_string_equal(query->select.properties[2].name, "note");
	assert_string_equal(query->scope, "/recordings/porch/");
	assert_string_equal(query->depth, "1");
	assert_int_equal(query->n_where, 5);
	assert_int_equal(query->where[0].kind, SEARCH_EQ);
	assert_int_equal(query->where[0].property, SEARCH_CAMERA);
	assert_string_equal(query->where[0].text, "po&<r>ch");
	assert_int_equal(query->where[1].number, 1920);
	assert_int_equal(query->where[3].kind, SEARCH_NOT);
	assert_int_equal(query->where[4].kind, SEARCH_AND);
	assert_int_equal(query->where[4].operands, 3);
	assert_int_equal(query->n_order, 2);
	assert_true(query->order[0].descending);
	assert_true(query->order[1].caseless);
	assert_int_equal(query->limit, 10);
}

static void test_little_is_enough(void **state)
{
	const char *condition, *why;

	(void)state;
	assert_int_equal(parse(SELECT FROM, &condition, &why), 0);
	assert_int_equal(query->select.kind, DAV_ALLPROP);
	assert_int_equal(query->n_where, 0);
	assert_int_equal(query->n_order, 0);
	assert_true(query->limit == UINT64_MAX);
	assert_false(query->asks_schema);
	assert_int_equal(
		parse_text(
			"<query-schema-discovery xmlns=\"DAV:\"><basicsearch><from><scope>"
			"<href>/</href><depth>infinity</depth></scope></from></basicsearch></query-schema-discovery>",
			&condition, &why),
		0);
	assert_true(query->asks_schema);
}

/* clang-format off */
/* What is no query, one row each, inside of a basicsearch. */
static const char *const nonsense[] = {
	"",
	SELECT,
	FROM,
	SELECT SELECT FROM,
	SELECT FROM FROM,
	SELECT FROM "text",
	SELECT FROM "<D:nonsense/>",
	SELECT FROM "<where xmlns='urn:x'><D:is-collection/></where>",
	"<D:select/>" FROM,
	"<D:select><D:allprop/><D:prop/></D:select>" FROM,
	"<D:select><D:propname/></D:select>" FROM,
	"<D:select><D:prop><D:getetag><D:getetag/></D:getetag></D:prop></D:select>" FROM,
	"<D:select><D:prop><D:getetag>x</D:getetag></D:prop></D:select>" FROM,
	SELECT "<D:from/>",
	SELECT "<D:from><D:scope><D:href>/</D:href></D:scope></D:from>",
	SELECT "<D:from><D:scope><D:depth>1</D:depth></D:scope></D:from>",
	SELECT "<D:from><D:scope><D:href>/</D:href><D:href>/</D:href></D:scope></D:from>",
	SELECT "<D:from><D:scope><D:href>/</D:href><D:depth>2</D:depth></D:scope></D:from>",
	SELECT "<D:from><D:scope><D:href>/</D:href><D:depth/></D:scope></D:from>",
	SELECT "<D:from><D:scope><D:href>/</D:href><D:depth>1</D:depth><D:include-versions/></D:scope></D:from>",
	SELECT FROM "<D:where/>",
	SELECT FROM "<D:where><D:is-collection/><D:is-collection/></D:where>",
	SELECT FROM "<D:where><D:and/></D:where>",
	SELECT FROM "<D:where><D:or/></D:where>",
	SELECT FROM "<D:where><D:not/></D:where>",
	SELECT FROM "<D:where><D:not><D:is-collection/><D:is-collection/></D:not></D:where>",
	SELECT FROM "<D:where><D:contains>cat</D:contains></D:where>",
	SELECT FROM "<D:where><D:language-defined>" CAMERA "</D:language-defined></D:where>",
	SELECT FROM "<D:where><D:is-defined/></D:where>",
	SELECT FROM "<D:where><D:is-defined><D:prop/></D:is-defined></D:where>",
	SELECT FROM "<D:where><D:is-defined><D:prop><N:start/><N:end/></D:prop></D:is-defined></D:where>",
	SELECT FROM "<D:where><D:is-collection>x</D:is-collection></D:where>",
	SELECT FROM "<D:where><D:eq>" CAMERA "</D:eq></D:where>",
	SELECT FROM "<D:where><D:eq><D:literal>porch</D:literal></D:eq></D:where>",
	SELECT FROM "<D:where><D:eq>" CAMERA CAMERA "</D:eq></D:where>",
	SELECT FROM "<D:where><D:eq>" CAMERA "<D:literal>a</D:literal><D:literal>b</D:literal></D:eq></D:where>",
	SELECT FROM "<D:where><D:eq>" CAMERA "<D:literal>a<b/></D:literal></D:eq></D:where>",
	SELECT FROM "<D:where><D:eq caseless='maybe'>" CAMERA "<D:literal>a</D:literal></D:eq></D:where>",
	SELECT FROM "<D:where>" IS("<N:camera/><N:codec/>", "eq", "a") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:camra/>", "eq", "a") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:weather/>", "eq", "1") "</D:where>",
	SELECT FROM "<D:where>" IS("<D:resourcetype/>", "eq", "a") "</D:where>",
	SELECT FROM "<D:where>" IS("<D:lockdiscovery/>", "like", "a") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:width/>", "eq", "wide") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:width/>", "eq", "") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:width/>", "eq", "1.5") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:width/>", "eq", "1; DROP TABLE segments") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:width/>", "eq", "9999999999999999999") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:duration/>", "gt", "10s") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:duration/>", "gt", "1.2.3") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:start/>", "gt", "yesterday") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:start/>", "gt", "2026-02-29T00:00:00Z") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:start/>", "gt", "2026-13-01T00:00:00Z") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:start/>", "gt", "2026-11-20T12:00:00") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:start/>", "gt", "2026-11-20T12:00:00.Z") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:start/>", "gt", "Fri, 20 Nov 2026 12:00:00 GMT") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:start/>", "like", "2026%") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:codec/>", "like", "avc\\") "</D:where>",
	SELECT FROM "<D:where>" IS("<N:codec/>", "like", "\\a") "</D:where>",
	SELECT FROM "<D:where><D:eq>" WIDTH "<D:typed-literal xsi:type='xs:dateTime'>1</D:typed-literal></D:eq></D:where>",
	SELECT FROM "<D:where><D:eq>" WIDTH "<D:typed-literal xsi:type='xs:colour'>1</D:typed-literal></D:eq></D:where>",
	SELECT FROM "<D:where><D:eq>" WIDTH "<D:typed-literal>1</D:typed-literal></D:eq></D:where>",
	SELECT FROM "<D:orderby/>",
	SELECT FROM "<D:orderby><D:order/></D:orderby>",
	SELECT FROM "<D:orderby><D:order><D:ascending/></D:order></D:orderby>",
	SELECT FROM "<D:orderby><D:order>" START "<D:ascending/><D:descending/></D:order></D:orderby>",
	SELECT FROM "<D:orderby><D:order>" START "<D:sideways/></D:order></D:orderby>",
	SELECT FROM "<D:orderby><D:order><D:score/></D:order></D:orderby>",
	SELECT FROM "<D:orderby><D:order><D:prop><D:supportedlock/></D:prop></D:order></D:orderby>",
	SELECT FROM "<D:limit/>",
	SELECT FROM "<D:limit><D:nresults/></D:limit>",
	SELECT FROM "<D:limit><D:nresults>-1</D:nresults></D:limit>",
	SELECT FROM "<D:limit><D:nresults>many</D:nresults></D:limit>",
	SELECT FROM "<D:limit><D:nresults>1</D:nresults><D:nresults>2</D:nresults></D:limit>",
};
/* clang-format on */

static void test_nonsense_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(nonsense); i++) {
		const char *condition = "", *why = NULL;
		int error = parse(nonsense[i], &condition, &why);

		if (error != -EINVAL || !why || condition)
			fail_msg("%s: %d %s", nonsense[i], error, why ? why : "");
	}
}

static void test_other_grammars_and_scopes_have_their_conditions(void **state)
{
	static const char scope[] = "<scope><href>/</href><depth>1</depth></scope>";
	const char *condition, *why;
	char *text;

	(void)state;
	assert_int_equal(parse_text("<propfind xmlns=\"DAV:\"/>", &condition, &why), -EINVAL);
	assert_string_equal(condition, "search-grammar-supported");
	assert_int_equal(
		parse_text(
			"<searchrequest xmlns=\"DAV:\"><sql xmlns=\"urn:x\">SELECT 1</sql></searchrequest>",
			&condition, &why),
		-EINVAL);
	assert_string_equal(condition, "search-grammar-supported");
	text = xasprintf(
		"<searchrequest xmlns=\"DAV:\"><basicsearch><select><allprop/></select><from>%s%s</from>"
		"</basicsearch></searchrequest>",
		scope, scope);
	assert_int_equal(parse_text(text, &condition, &why), -EINVAL);
	assert_string_equal(condition, "search-multiple-scope-supported");
	free(text);
}

static void test_what_is_not_xml_is_told_from_what_is_no_query(void **state)
{
	static const char *const bodies[] = {
		"",
		"x",
		"<a>",
		"<!DOCTYPE searchrequest [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><searchrequest xmlns=\"DAV:\"/>",
		("<!DOCTYPE searchrequest [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>"
		 "<searchrequest xmlns=\"DAV:\"><basicsearch>&x;</basicsearch></searchrequest>"),
		"<!DOCTYPE searchrequest SYSTEM \"http://127.0.0.1/x.dtd\"><searchrequest xmlns=\"DAV:\"/>",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bodies); i++) {
		const char *condition, *why = NULL;

		assert_int_equal(parse_text(bodies[i], &condition, &why), -EBADMSG);
		assert_non_null(why);
		assert_null(condition);
	}
}

static void test_every_cut_is_refused(void **state)
{
	static const char text[] =
		"<searchrequest xmlns=\"DAV:\" xmlns:N=\"urn:nvrd:dav\"><basicsearch><select><allprop/></select>"
		"<from><scope><href>/</href><depth>infinity</depth></scope></from><where><eq><prop><N:camera/></prop>"
		"<literal>porch</literal></eq></where></basicsearch></searchrequest>";
	const char *condition, *why;

	(void)state;
	for (size_t n = 0; n < strlen(text); n++) {
		char *cut = xasprintf("%.*s", (int)n, text);

		assert_int_not_equal(parse_text(cut, &condition, &why), 0);
		free(cut);
	}
	assert_int_equal(parse_text(text, &condition, &why), 0);
}

/* Repeats a piece n times between two others. */
static char *repeat(const char *before, const char *piece, size_t n, const char *after)
{
	char *text = xmalloc(strlen(before) + strlen(piece) * n + strlen(after) + 1), *at = text;

	at = stpcpy(at, before);
	while (n--)
		at = stpcpy(at, piece);
	(void)stpcpy(at, after);
	return text;
}

static void test_there_are_limits(void **state)
{
	/* clang-format off */
	static const struct {
		const char *before, *piece, *after;
		size_t most;
	} cases[] = {
		{ SELECT FROM "<D:where><D:and>", "<D:is-collection/>", "</D:and></D:where>",
                 SEARCH_NODES - 1 },
		{ SELECT FROM "<D:orderby>", "<D:order>" START "</D:order>", "</D:orderby>",
                 SEARCH_ORDERS },
		{ SELECT FROM "<D:where><D:eq>" CAMERA "<D:literal>", "x", "</D:literal></D:eq></D:where>",
                 SEARCH_LITERAL_BYTES - 1 },
		{ "<D:select><D:prop>", "<D:a/>", "</D:prop></D:select>" FROM, DAV_PROPERTIES },
	};
	/* clang-format on */
	const char *condition, *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		for (size_t more = 0; more < 2; more++) {
			char *text = repeat(cases[i].before, cases[i].piece, cases[i].most + more,
				cases[i].after);

			assert_int_equal(parse(text, &condition, &why), more ? -EINVAL : 0);
			free(text);
		}
	}
}

static void test_deep_nesting_is_refused(void **state)
{
	char *inner = repeat("", "<D:not>", 40, ""), *outer = repeat("", "</D:not>", 40, ""),
	     *text = xasprintf(
		     SELECT FROM "<D:where>%s<D:is-collection/>%s</D:where>", inner, outer);
	const char *condition, *why;

	(void)state;
	assert_int_equal(parse(text, &condition, &why), -EBADMSG);
	free(inner);
	free(outer);
	free(text);
}

/* --- operators --- */

/* A recording of porch at noon, 10.5 s long, without a picture. */
static struct search_value get(const void *thing, enum search_property property)
{
	/* clang-format off */
	static const struct search_value values[SEARCH_PROPERTIES] = {
		[SEARCH_DISPLAYNAME] = { true, 0, "12-00-00+0000.mp4" },
		[SEARCH_CONTENT_LENGTH] = { true, 1000, NULL },
		[SEARCH_CAMERA] = { true, 0, "porch" },
		[SEARCH_START] = { true, NOON, NULL },
		[SEARCH_END] = { true, NOON + 10500000, NULL },
		[SEARCH_DURATION] = { true, 10500000, NULL },
		[SEARCH_CODEC] = { true, 0, "avc1.64001f,mp4a.40.2" },
		[SEARCH_STATE] = { true, 0, "p\xc3\xa4 100%" },
	};
	/* clang-format on */
	static const int64_t widths[] = { 0, 640, 1920 };

	if (property == SEARCH_WIDTH && thing) /* one of three */
		return (struct search_value){ *(const int *)thing, widths[*(const int *)thing],
			NULL };
	return values[property];
}

static void test_operators(void **state)
{
	/* clang-format off */
	static const struct {
		bool holds;
		const char *where;
	} cases[] = {
		{ true, IS("<N:camera/>", "eq", "porch") },
		{ false, IS("<N:camera/>", "eq", "PORCH") },
		{ false, IS("<N:camera/>", "eq", " porch ") },
		{ true, "<D:eq caseless='yes'>" CAMERA "<D:literal>PORCH</D:literal></D:eq>" },
		{ true, IS("<N:camera/>", "gt", "garden") },
		{ false, IS("<N:camera/>", "lt", "garden") },
		{ true, IS("<N:start/>", "eq", "2026-11-20T12:00:00Z") },
		{ true, IS("<N:start/>", "eq", "2026-11-20T13:00:00.000+01:00") },
		{ true, IS("<N:start/>", "lt", "2026-11-20T12:00:00.001Z") },
		{ true, IS("<N:start/>", "lte", "2026-11-20T12:00:00Z") },
		{ false, IS("<N:start/>", "lt", "2026-11-20T12:00:00Z") },
		{ false, IS("<N:start/>", "gt", "2026-11-20T12:00:00Z") },
		{ true, IS("<N:end/>", "gte", "2026-11-20T12:00:10.5Z") },
		{ true, IS("<N:duration/>", "eq", "10.5") },
		{ true, IS("<N:duration/>", "gt", "-3") },
		{ false, IS("<N:duration/>", "gte", "10.6") },
		{ true, IS("<D:getcontentlength/>", "lt", "+1001") },
		{ true, "<D:eq><D:prop><D:getcontentlength/></D:prop>"
			"<D:typed-literal xsi:type='xs:integer'>1000</D:typed-literal></D:eq>" },
		{ true, "<D:eq>" CAMERA "<D:typed-literal>porch</D:typed-literal></D:eq>" },
		{ true, IS("<N:codec/>", "like", "avc1.%") },
		{ true, IS("<N:codec/>", "like", "%mp4a%2") },
		{ true, IS("<N:codec/>", "like", "%") },
		{ true, IS("<N:codec/>", "like", "%%____1f%,%%") },
		{ false, IS("<N:codec/>", "like", "mp4a") },
		{ false, IS("<N:codec/>", "like", "avc1") },
		{ false, IS("<N:codec/>", "like", "AVC1%") },
		{ true, "<D:like caseless='yes'><D:prop><N:codec/></D:prop><D:literal>AVC1%</D:literal></D:like>" },
		{ true, IS("<N:camera/>", "like", "p_r_h") },
		{ false, IS("<N:camera/>", "like", "p_r_") },
		{ true, IS("<N:state/>", "like", "p_ 100\\%") },
		{ false, IS("<N:camera/>", "like", "\\%orch") },
		{ false, IS("<N:camera/>", "like", "") },
		{ true, "<D:is-defined><D:prop><N:start/></D:prop></D:is-defined>" },
		{ false, "<D:is-defined>" WIDTH "</D:is-defined>" },
		{ false, "<D:is-collection/>" },
		{ true, "<D:not><D:is-collection/></D:not>" },
		/* what is not defined is neither */
		{ false, IS("<N:width/>", "eq", "640") },
		{ false, "<D:not>" IS("<N:width/>", "eq", "640") "</D:not>" },
		{ false, IS("<colour xmlns='urn:x'/>", "eq", "red") },
		{ false, "<D:not>" IS("<colour xmlns='urn:x'/>", "eq", "red") "</D:not>" },
		{ false, "<D:is-defined><D:prop><colour xmlns='urn:x'/></D:prop></D:is-defined>" },
		{ true, "<D:or>" IS("<N:width/>", "eq", "640") IS("<N:camera/>", "eq", "porch") "</D:or>" },
		{ false, "<D:and>" IS("<N:width/>", "eq", "640") IS("<N:camera/>", "eq", "porch") "</D:and>" },
		{ false, "<D:not><D:and>" IS("<N:width/>", "eq", "640") IS("<N:camera/>", "eq", "porch") "</D:and></D:not>" },
		{ false, "<D:not><D:or>" IS("<N:width/>", "eq", "640") "<D:is-collection/></D:or></D:not>" },
		{ true, "<D:not><D:and>" IS("<N:width/>", "eq", "640") "<D:is-collection/></D:and></D:not>" },
		{ true, "<D:and><D:or><D:is-collection/>" IS("<N:camera/>", "eq", "porch") "</D:or>"
			"<D:not><D:or><D:is-collection/>" IS("<N:camera/>", "eq", "attic") "</D:or></D:not></D:and>" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct search_range range;

		parse_where(cases[i].where);
		if (search_query_holds(query, NULL, get) != cases[i].holds)
			fail_msg("%s", cases[i].where);
		/* what it holds for is within its bounds */
		if (cases[i].holds &&
			(!search_query_range(query, "porch", &range) || range.from_us > NOON ||
				range.to_us < NOON || range.ended_us > NOON + 10500000))
			fail_msg("%s: bounds", cases[i].where);
	}
}

static void test_orders(void **state)
{
	static const int none = 0, narrow = 1, wide = 2;
	const char *condition, *why;

	(void)state;
	assert_int_equal(parse(SELECT FROM "<D:orderby><D:order>" WIDTH "</D:order></D:orderby>",
				 &condition, &why),
		0);
	assert_true(search_query_compare(query, &narrow, &wide, get) < 0);
	assert_true(search_query_compare(query, &wide, &narrow, get) > 0);
	assert_true(search_query_compare(query, &none, &narrow, get) < 0);
	assert_int_equal(search_query_compare(query, &none, &none, get), 0);
	assert_int_equal(parse(SELECT FROM "<D:orderby><D:order>" CAMERA "</D:order><D:order>" WIDTH
					   "<D:descending/></D:order></D:orderby>",
				 &condition, &why),
		0);
	assert_true(search_query_compare(query, &narrow, &wide, get) > 0);
	assert_true(search_query_compare(query, &none, &narrow, get) > 0);
}

static void test_bounds(void **state)
{
#define AT(operator, time) IS("<N:start/>", operator, "2026-11-20T" time "Z")
#define ENDS(operator, time) IS("<N:end/>", operator, "2026-11-20T" time "Z")
	enum {
		NEVER = -1
	};
	static const int64_t first = INT64_MIN, last = INT64_MAX, second = 1000000,
			     hour = 3600 * second;
	/* clang-format off */
	const struct {
		const char *where, *camera;
		int64_t from_us, to_us, ended_us; /* NEVER as from_us: nothing */
	} cases[] = {
		{ IS("<N:camera/>", "eq", "porch"), "porch", first, last, first },
		{ IS("<N:camera/>", "eq", "porch"), "garden", NEVER, 0, 0 },
		{ "<D:not>" IS("<N:camera/>", "eq", "porch") "</D:not>", "porch", first, last, first },
		{ "<D:or>" IS("<N:camera/>", "eq", "porch") IS("<N:camera/>", "like", "g%") "</D:or>",
		 "garden", first, last, first },
		{ "<D:and>" AT("gte", "12:00:00") AT("lt", "13:00:00") "</D:and>", "porch", NOON,
		 NOON + hour + second, first },
		{ "<D:and>" ENDS("gt", "12:00:00") AT("lt", "13:00:00") "</D:and>", "porch", first,
		 NOON + hour + second, NOON },
		{ ENDS("lte", "12:00:00"), "porch", first, NOON + second, first },
		{ AT("eq", "12:00:00"), "porch", NOON, NOON + second, first },
		{ "<D:and>" AT("gt", "13:00:00") AT("lt", "12:00:00") "</D:and>", "porch", NEVER, 0, 0 },
		{ "<D:or>" AT("eq", "12:00:00") AT("eq", "13:00:00") "</D:or>", "porch", NOON,
		 NOON + hour + second, first },
		{ "<D:or><D:and>" IS("<N:camera/>", "eq", "porch") AT("eq", "12:00:00") "</D:and><D:and>"
		  IS("<N:camera/>", "eq", "garden") AT("eq", "13:00:00") "</D:and></D:or>",
		 "garden", NOON + hour, NOON + hour + second, first },
		{ "<D:is-collection/>", "porch", NEVER, 0, 0 },
		{ IS("<N:width/>", "eq", "1"), "porch", first, last, first },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct search_range range;
		bool any;

		parse_where(cases[i].where);
		any = search_query_range(query, cases[i].camera, &range);
		if (any != (cases[i].from_us != NEVER) ||
			(any && (range.from_us != cases[i].from_us ||
					range.to_us != cases[i].to_us ||
					range.ended_us != cases[i].ended_us)))
			fail_msg("%s of %s", cases[i].where, cases[i].camera);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_query_is_understood),
		cmocka_unit_test(test_little_is_enough),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_other_grammars_and_scopes_have_their_conditions),
		cmocka_unit_test(test_what_is_not_xml_is_told_from_what_is_no_query),
		cmocka_unit_test(test_every_cut_is_refused),
		cmocka_unit_test(test_there_are_limits),
		cmocka_unit_test(test_deep_nesting_is_refused),
		cmocka_unit_test(test_operators),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
