/* DAV:basicsearch (RFC 5323 section 5): its grammar as a table of elements. */
#include "protocols/search_query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/dav_properties.h"
#include "protocols/dav_xml.h"
#include "protocols/http_date.h"

#define SCHEMA_INSTANCE "http://www.w3.org/2001/XMLSchema-instance"

/* clang-format off */
const struct search_property_row search_properties[SEARCH_PROPERTIES] = {
	[SEARCH_DISPLAYNAME]    = { "displayname",      false, SEARCH_TEXT    },
	[SEARCH_CONTENT_LENGTH] = { "getcontentlength", false, SEARCH_INTEGER },
	[SEARCH_CONTENT_TYPE]   = { "getcontenttype",   false, SEARCH_TEXT    },
	[SEARCH_ETAG]           = { "getetag",          false, SEARCH_TEXT    },
	[SEARCH_MODIFIED]       = { "getlastmodified",  false, SEARCH_INSTANT },
	[SEARCH_CREATED]        = { "creationdate",     false, SEARCH_INSTANT },
	[SEARCH_CAMERA]         = { "camera",           true,  SEARCH_TEXT    },
	[SEARCH_START]          = { "start",            true,  SEARCH_INSTANT },
	[SEARCH_END]            = { "end",              true,  SEARCH_INSTANT },
	[SEARCH_DURATION]       = { "duration",         true,  SEARCH_SECONDS },
	[SEARCH_CODEC]          = { "codec",            true,  SEARCH_TEXT    },
	[SEARCH_WIDTH]          = { "width",            true,  SEARCH_INTEGER },
	[SEARCH_HEIGHT]         = { "height",           true,  SEARCH_INTEGER },
	[SEARCH_STATE]          = { "state",            true,  SEARCH_TEXT    },
	[SEARCH_MOTION]         = { "motion",           true,  SEARCH_INTEGER },
};

/* Live, and not to be searched by. */
static const char *const not_searched[] = { "resourcetype", "supportedlock", "lockdiscovery",
	"quota-available-bytes", "quota-used-bytes", "supported-query-grammar-set" };
/* clang-format on */

/* --- the grammar --- */

enum element {
	E_SEARCHREQUEST,
	E_SCHEMA,
	E_BASICSEARCH,
	E_SELECT,
	E_ALLPROP,
	E_FROM,
	E_SCOPE,
	E_HREF,
	E_DEPTH,
	E_WHERE,
	E_AND,
	E_OR,
	E_NOT,
	E_EQ,
	E_LT,
	E_LTE,
	E_GT,
	E_GTE,
	E_LIKE,
	E_IS_DEFINED,
	E_IS_COLLECTION,
	E_PROP,
	E_LITERAL,
	E_TYPED_LITERAL,
	E_ORDERBY,
	E_ORDER,
	E_ASCENDING,
	E_DESCENDING,
	E_LIMIT,
	E_NRESULTS,
	E_ELEMENTS,
	E_PROPERTY = E_ELEMENTS, /* a property's name: whatever stands in a prop */
	E_ROOT                   /* what the document element stands in */
};

#define IN(element) (UINT64_C(1) << (element))
#define COMPARISONS (IN(E_EQ) | IN(E_LT) | IN(E_LTE) | IN(E_GT) | IN(E_GTE) | IN(E_LIKE))
#define CONDITIONS (IN(E_WHERE) | IN(E_AND) | IN(E_OR) | IN(E_NOT))
#define MANY 255

/* clang-format off */
static const struct element_row {
	const char *name;
	uint64_t within;           /* elements that it may stand in */
	bool has_text;
	unsigned char least, most; /* children */
} elements[E_ELEMENTS] = {
	[E_SEARCHREQUEST] = { "searchrequest",          IN(E_ROOT),          false, 1, 1    },
	[E_SCHEMA]        = { "query-schema-discovery", IN(E_ROOT),          false, 1, 1    },
	[E_BASICSEARCH]   = { "basicsearch",    IN(E_SEARCHREQUEST) | IN(E_SCHEMA), false, 1, 5 },
	[E_SELECT]        = { "select",         IN(E_BASICSEARCH),           false, 1, 1    },
	[E_ALLPROP]       = { "allprop",        IN(E_SELECT),                false, 0, 0    },
	[E_FROM]          = { "from",           IN(E_BASICSEARCH),           false, 1, 1    },
	[E_SCOPE]         = { "scope",          IN(E_FROM),                  false, 2, 2    },
	[E_HREF]          = { "href",           IN(E_SCOPE),                 true,  0, 0    },
	[E_DEPTH]         = { "depth",          IN(E_SCOPE),                 true,  0, 0    },
	[E_WHERE]         = { "where",          IN(E_BASICSEARCH),           false, 1, 1    },
	[E_AND]           = { "and",            CONDITIONS,                  false, 1, MANY },
	[E_OR]            = { "or",             CONDITIONS,                  false, 1, MANY },
	[E_NOT]           = { "not",            CONDITIONS,                  false, 1, 1    },
	[E_EQ]            = { "eq",             CONDITIONS,                  false, 2, 2    },
	[E_LT]            = { "lt",             CONDITIONS,                  false, 2, 2    },
	[E_LTE]           = { "lte",            CONDITIONS,                  false, 2, 2    },
	[E_GT]            = { "gt",             CONDITIONS,                  false, 2, 2    },
	[E_GTE]           = { "gte",            CONDITIONS,                  false, 2, 2    },
	[E_LIKE]          = { "like",           CONDITIONS,                  false, 2, 2    },
	[E_IS_DEFINED]    = { "is-defined",     CONDITIONS,                  false, 1, 1    },
	[E_IS_COLLECTION] = { "is-collection",  CONDITIONS,                  false, 0, 0    },
	[E_PROP]          = { "prop",
		COMPARISONS | IN(E_IS_DEFINED) | IN(E_SELECT) | IN(E_ORDER), false, 0, MANY },
	[E_LITERAL]       = { "literal",        COMPARISONS,                 true,  0, 0    },
	[E_TYPED_LITERAL] = { "typed-literal",  COMPARISONS & ~IN(E_LIKE),   true,  0, 0    },
	[E_ORDERBY]       = { "orderby",        IN(E_BASICSEARCH),           false, 1, MANY },
	[E_ORDER]         = { "order",          IN(E_ORDERBY),               false, 1, 2    },
	[E_ASCENDING]     = { "ascending",      IN(E_ORDER),                 false, 0, 0    },
	[E_DESCENDING]    = { "descending",     IN(E_ORDER),                 false, 0, 0    },
	[E_LIMIT]         = { "limit",          IN(E_BASICSEARCH),           false, 1, 1    },
	[E_NRESULTS]      = { "nresults",       IN(E_LIMIT),                 true,  0, 0    },
};

/* The types of XML Schema that a typed-literal may say, by what they can be compared with. */
static const struct {
	const char *name;
	uint64_t types; /* of enum search_type */
} literal_types[] = {
	{ "string",   IN(SEARCH_TEXT) },
	{ "integer",  IN(SEARCH_INTEGER) | IN(SEARCH_SECONDS) },
	{ "int",      IN(SEARCH_INTEGER) | IN(SEARCH_SECONDS) },
	{ "long",     IN(SEARCH_INTEGER) | IN(SEARCH_SECONDS) },
	{ "nonNegativeInteger", IN(SEARCH_INTEGER) | IN(SEARCH_SECONDS) },
	{ "decimal",  IN(SEARCH_SECONDS) },
	{ "double",   IN(SEARCH_SECONDS) },
	{ "dateTime", IN(SEARCH_INSTANT) },
};
/* clang-format on */

/* An element that is open. */
struct frame {
	enum element element;
	unsigned children;
	uint64_t seen; /* of which kinds they were */
	bool caseless, has_property;
	enum search_property property; /* of what compares and orders */
};

struct parse {
	struct dav_xml xml; /* first */
	struct search_query *query;
	bool refused; /* by us, not by XML */
	const char *condition;
	struct frame frames[DAV_XML_DEPTH];
	char text[SEARCH_HREF_BYTES]; /* of the element that has some, so far */
	size_t n_text;
	uint64_t types; /* of properties that the last literal can be compared with */
};

static void refuse(struct parse *p, const char *condition, const char *why)
{
	if (!p->xml.why) {
		p->refused = true;
		p->condition = condition;
	}
	dav_xml_fail(&p->xml, why);
}

/* Keeps a text; NULL and a refusal when there is no room. */
static const char *keep(struct parse *p, const char *s)
{
	struct search_query *query = p->query;
	size_t n = strlen(s) + 1;
	char *kept = query->bytes + query->n_bytes;

	if (n > sizeof(query->bytes) - query->n_bytes) {
		refuse(p, NULL, "the query is too long");
		return NULL;
	}
	memcpy(kept, s, n);
	query->n_bytes += n;
	return kept;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Takes the blanks around a text away, in place. */
static char *trim(char *s)
{
	size_t n;

	while (is_blank(*s))
		s++;
	n = strlen(s);
	while (n && is_blank(s[n - 1]))
		s[--n] = '\0';
	return s;
}

/* Digits, with a sign and a fraction when there may be one, in units of 10^-6 then. */
static bool parse_number(int64_t *ret, const char *s, bool is_decimal)
{
	bool negative = *s == '-';
	int64_t value = 0, unit = 1000000;
	size_t n;

	s += *s == '-' || *s == '+';
	n = strspn(s, "0123456789");
	if (!n || n > (is_decimal ? 12 : 18))
		return false;
	for (; n; n--)
		value = value * 10 + (*s++ - '0');
	if (is_decimal) {
		value *= 1000000;
		s += *s == '.';
		for (; *s >= '0' && *s <= '9'; s++) {
			unit /= 10;
			value += (*s - '0') * unit;
		}
	}
	*ret = negative ? -value : value;
	return !*s;
}

/* "%" any text, "_" any letter, and a backslash before those that mean themselves (section 5.12). */
static bool is_pattern(const char *s)
{
	for (; *s; s++) {
		if (*s == '\\' && (!*++s || !strchr("\\%_", *s)))
			return false;
	}
	return true;
}

/* --- what closes an element --- */

static struct search_node *add_node(struct parse *p, enum search_operator kind)
{
	struct search_query *query = p->query;
	struct search_node *node = &query->where[query->n_where];

	if (query->n_where == SEARCH_NODES) {
		refuse(p, NULL, "there are too many conditions");
		return NULL;
	}
	query->n_where++;
	*node = (struct search_node){ .kind = kind };
	return node;
}

/* Makes a literal of the property's type. */
static void end_literal(struct parse *p, struct search_node *node, enum search_type type)
{
	char *trimmed = type == SEARCH_TEXT ? p->text : trim(p->text);

	switch (type) {
	case SEARCH_TEXT:
		if (node->kind == SEARCH_LIKE && !is_pattern(p->text))
			refuse(p, NULL, "a backslash in a pattern stands before \\, % or _");
		else
			node->text = keep(p, p->text);
		return;
	case SEARCH_INTEGER:
		if (!parse_number(&node->number, trimmed, false))
			refuse(p, NULL, "this property is compared with a whole number");
		return;
	case SEARCH_INSTANT:
		node->number = http_timestamp_parse(
			(struct message_text){ .p = trimmed, .n = strlen(trimmed) });
		if (node->number < 0)
			refuse(p, NULL,
				"this property is compared with an instant like 2026-11-20T14:30:00Z");
		return;
	case SEARCH_SECONDS:
		if (!parse_number(&node->number, trimmed, true))
			refuse(p, NULL, "this property is compared with a number of seconds");
		return;
	}
}

static void end_comparison(struct parse *p, const struct frame *f)
{
	struct search_node *node;

	if (!(f->seen & IN(E_PROP)) || !(f->seen & (IN(E_LITERAL) | IN(E_TYPED_LITERAL)))) {
		refuse(p, NULL, "a comparison has a prop and a literal");
		return;
	}
	node = add_node(p, SEARCH_EQ + (f->element - E_EQ));
	if (!node)
		return;
	node->property = f->property;
	node->caseless = f->caseless;
	node->text = "";
	if (f->property == SEARCH_UNDEFINED)
		return;
	enum search_type type = search_properties[f->property].type;
	if (f->element == E_LIKE && type != SEARCH_TEXT)
		refuse(p, NULL, "like is for properties that are text");
	else if (!(p->types & IN(type)))
		refuse(p, NULL, "the literal is of another type than the property");
	else
		end_literal(p, node, type);
}

static void end_order(struct parse *p, const struct frame *f)
{
	struct search_query *query = p->query;

	if (!(f->seen & IN(E_PROP))) {
		refuse(p, NULL, "an order has a prop");
		return;
	}
	if (query->n_order == SEARCH_ORDERS) {
		refuse(p, NULL, "there are too many orders");
		return;
	}
	query->order[query->n_order++] = (struct search_order){
		.property = f->property,
		.descending = f->seen & IN(E_DESCENDING),
		.caseless = f->caseless,
	};
}

static void end_scope(struct parse *p, enum element element)
{
	const char *text = keep(p, trim(p->text));

	if (element == E_HREF)
		p->query->scope = text;
	else if (text && strcmp(text, "0") != 0 && strcmp(text, "1") != 0 &&
		 strcmp(text, "infinity") != 0)
		refuse(p, NULL, "the depth of a scope is 0, 1 or infinity");
	else
		p->query->depth = text;
}

static void end_limit(struct parse *p)
{
	int64_t limit;

	if (!parse_number(&limit, trim(p->text), false) || limit < 0)
		refuse(p, NULL, "nresults is a number");
	else
		p->query->limit = (uint64_t)limit;
}

static void end_basicsearch(struct parse *p, const struct frame *f)
{
	if (!(f->seen & IN(E_FROM)) || (!p->query->asks_schema && !(f->seen & IN(E_SELECT))))
		refuse(p, NULL, "a basicsearch has a select and a from");
}

static void end_operator(struct parse *p, const struct frame *f)
{
	struct search_node *node = add_node(p, SEARCH_AND + (f->element - E_AND));

	if (node && f->element <= E_NOT)
		node->operands = f->children;
	else if (node)
		node->property = f->property;
}

/* What belongs in a prop depends on what that is for; in a select it may be nothing. */
static void end_prop(struct parse *p, const struct frame *f, const struct frame *parent)
{
	if (parent->element != E_SELECT && f->children != 1)
		refuse(p, NULL, "a prop here names one property");
}

static void on_end(struct dav_xml *x, int depth)
{
	struct parse *p = CONTAINER_OF(x, struct parse, xml);
	struct frame *f = &p->frames[depth];

	if (f->element == E_PROPERTY)
		return;
	if (f->children < elements[f->element].least) {
		refuse(p, NULL, "an element lacks what belongs in it");
		return;
	}
	switch (f->element) {
	case E_BASICSEARCH:
		end_basicsearch(p, f);
		break;
	case E_HREF:
	case E_DEPTH:
		end_scope(p, f->element);
		break;
	case E_AND:
	case E_OR:
	case E_NOT:
	case E_IS_DEFINED:
	case E_IS_COLLECTION:
		end_operator(p, f);
		break;
	case E_EQ:
	case E_LT:
	case E_LTE:
	case E_GT:
	case E_GTE:
	case E_LIKE:
		end_comparison(p, f);
		break;
	case E_PROP:
		end_prop(p, f, &p->frames[depth - 1]);
		break;
	case E_LITERAL:
	case E_TYPED_LITERAL:
		if (p->n_text >= SEARCH_LITERAL_BYTES)
			refuse(p, NULL, "a literal is too long");
		break;
	case E_ORDER:
		end_order(p, f);
		break;
	case E_NRESULTS:
		end_limit(p);
		break;
	default: /* its children have said all */
		break;
	}
}

/* --- what opens one --- */

static enum search_property property_of(const char *space, const char *name)
{
	bool is_ours = strcmp(space, DAV_NVRD_SPACE) == 0;

	if (!is_ours && strcmp(space, "DAV:") != 0)
		return SEARCH_UNDEFINED;
	for (size_t i = 0; i < SEARCH_PROPERTIES; i++) {
		if (search_properties[i].is_ours == is_ours &&
			strcmp(search_properties[i].name, name) == 0)
			return (enum search_property)i;
	}
	return SEARCH_UNDEFINED;
}

/* In our own namespace, what we do not know is a mistake; elsewhere it is a property that no recording has. */
static bool is_searched(const char *space, const char *name)
{
	if (strcmp(space, DAV_NVRD_SPACE) == 0)
		return property_of(space, name) != SEARCH_UNDEFINED;
	for (size_t i = 0; strcmp(space, "DAV:") == 0 && i < ARRAY_LENGTH(not_searched); i++) {
		if (strcmp(not_searched[i], name) == 0)
			return false;
	}
	return true;
}

static void start_property(struct parse *p, int depth, const char *space, const char *name)
{
	struct frame *of = &p->frames[depth - 2]; /* of the prop */
	const char *why;

	if (of->element == E_SELECT) {
		why = dav_query_add(&p->query->select, space, name);
		if (why)
			refuse(p, NULL, why);
	} else if (!is_searched(space, name)) {
		refuse(p, NULL, "there is no property of this name to search by");
	} else {
		of->property = property_of(space, name);
	}
}

static void start_typed_literal(struct parse *p)
{
	char type[64];
	const char *name, *colon;

	p->types = IN(SEARCH_TEXT); /* section 5.11: without a type it is a string */
	if (!dav_xml_attribute(&p->xml, SCHEMA_INSTANCE, "type", type, sizeof(type)))
		return;
	colon = strchr(type, ':');
	name = colon ? colon + 1 : type;
	p->types = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(literal_types); i++) {
		if (strcmp(literal_types[i].name, name) == 0)
			p->types = literal_types[i].types;
	}
	if (!p->types)
		refuse(p, NULL, "the type of this literal is not known");
}

/* caseless="yes" or "no". False: something else. */
static bool parse_caseless(struct parse *p, struct frame *f)
{
	char value[8];

	if (!dav_xml_attribute(&p->xml, "", "caseless", value, sizeof(value)))
		return true;
	f->caseless = strcmp(value, "yes") == 0;
	return f->caseless || strcmp(value, "no") == 0;
}

static void start_known(struct parse *p, struct frame *f)
{
	f->property = SEARCH_UNDEFINED;
	if (elements[f->element].has_text) {
		p->n_text = 0;
		p->text[0] = '\0';
	}
	if (!parse_caseless(p, f))
		refuse(p, NULL, "caseless is yes or no");
	else if (f->element == E_SCHEMA)
		p->query->asks_schema = true;
	else if (f->element == E_PROP && p->frames[p->xml.depth - 1].element == E_SELECT)
		p->query->select.kind = DAV_PROP;
	else if (f->element == E_LITERAL)
		p->types = ~UINT64_C(0);
	else if (f->element == E_TYPED_LITERAL)
		start_typed_literal(p);
}

/* Whether an element may stand once more in one of that kind. */
static bool may_repeat(enum element element)
{
	return element == E_PROPERTY || element == E_ORDER ||
	       (element >= E_AND && element <= E_IS_COLLECTION);
}

/* What is to be said of an element that stands where it may not. */
static void refuse_element(struct parse *p, enum element parent, enum element element)
{
	if (parent == E_ROOT || parent == E_SEARCHREQUEST || parent == E_SCHEMA)
		refuse(p, "search-grammar-supported", "this grammar is not known");
	else if (parent == E_FROM && element == E_SCOPE)
		refuse(p, "search-multiple-scope-supported", "there can be one scope only");
	else
		refuse(p, NULL,
			"an element is not known, not supported, or does not belong where it stands");
}

static enum element element_of(enum element parent, const char *space, const char *name)
{
	if (parent == E_PROP)
		return E_PROPERTY;
	for (size_t i = 0; strcmp(space, "DAV:") == 0 && i < E_ELEMENTS; i++) {
		if (strcmp(elements[i].name, name) == 0)
			return (enum element)i;
	}
	return E_ROOT;
}

static void on_start(struct dav_xml *x, int depth, const char *space, const char *name)
{
	struct parse *p = CONTAINER_OF(x, struct parse, xml);
	struct frame root = { .element = E_ROOT };
	struct frame *parent = depth ? &p->frames[depth - 1] : &root;
	struct frame *f = &p->frames[depth];
	enum element element = element_of(parent->element, space, name);
	bool fits = element == E_PROPERTY ||
		    (element < E_ELEMENTS && (elements[element].within & IN(parent->element)));
	unsigned most = parent->element < E_ELEMENTS ? elements[parent->element].most : 1;

	if (!fits || parent->children == most ||
		((parent->seen & IN(element)) && !may_repeat(element))) {
		refuse_element(p, parent->element, element);
		return;
	}
	parent->children++;
	parent->seen |= IN(element);
	*f = (struct frame){ .element = element };
	if (element == E_PROPERTY)
		start_property(p, depth, space, name);
	else
		start_known(p, f);
}

static void on_text(struct dav_xml *x, int depth, const char *s, size_t n)
{
	struct parse *p = CONTAINER_OF(x, struct parse, xml);
	enum element element = p->frames[depth].element;

	if (element == E_PROPERTY || !elements[element].has_text) {
		for (size_t i = 0; i < n; i++) {
			if (!is_blank(s[i])) {
				refuse(p, NULL, "there is text where none belongs");
				return;
			}
		}
		return;
	}
	if (n >= sizeof(p->text) - p->n_text) {
		refuse(p, NULL, "a text is too long");
		return;
	}
	memcpy(p->text + p->n_text, s, n);
	p->n_text += n;
	p->text[p->n_text] = '\0';
}

int search_query_parse(
	struct search_query *ret, const char *p, size_t n, const char **condition, const char **why)
{
	struct parse parse = {
		.xml = {.on_start = on_start, .on_end = on_end, .on_text = on_text},
		.query = ret,
	};

	*condition = NULL;
	dav_query_init(&ret->select, DAV_ALLPROP);
	ret->asks_schema = false;
	ret->scope = ret->depth = NULL;
	ret->n_where = ret->n_order = ret->n_bytes = 0;
	ret->limit = UINT64_MAX;
	if (dav_xml_parse(&parse.xml, p, n, why) == 0)
		return 0;
	*condition = parse.condition;
	return parse.refused ? -EINVAL : -EBADMSG;
}
