/* From RTP payloads to access units: packets as text, and the units that come of them as text. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/rtp_depacketiser.h"

/* Parameter sets of 64x64 (A) and 96x64 (B) pictures as libx264 and libx265 make them. */
#define SPS_A "6742c00ad90426c044000003000400000300c83c489920"
#define SPS_B "6742c00ad90626c044000003000400000300c83c489920"
#define PPS "68cb83cb20"
#define SPS_A_BYTES "0017 " SPS_A
#define PPS_BYTES "0005 " PPS
#define SPROP "sprop-parameter-sets=Z0LACtkEJsBEAAADAAQAAAMAyDxImSA=,aMuDyyA="
#define SETS_A "1 - " SPS_A "\n1 - " PPS "\n"
#define VPS5 "40010c01ffff01600000030090000003000003001e959809"
#define SPS5 "42010101600000030090000003000003001ea020810596566924caf0168080000003008000000c84"
#define PPS5 "4401c172b42240"
#define SPROP5                                                                 \
	"sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwAelZgJ; "                         \
	"sprop-sps=QgEBAWAAAAMAkAAAAwAAAwAeoCCBBZZWaSTK8BaAgAAAAwCAAAAMhA==; " \
	"sprop-pps=RAHBcrQiQA=="
#define SETS5 "1 - " VPS5 "\n1 - " SPS5 "\n1 - " PPS5 "\n"

/* Learns that markers end pictures, so that the cases below need not. */
#define LEARN "1 m 6588aa\n2 m 4198aa\n"
#define LEARNT "1 key sets 00000003 6588aa\n2 00000003 4198aa\n"
#define LEARN5 "1 m 2601afaa\n2 m 0201d0aa\n"
#define LEARNT5 "1 key sets 00000004 2601afaa\n2 00000004 0201d0aa\n"

struct depacketiser_case {
	const char *rule, *encoding, *fmtp;
	/* "<timestamp> <flags> <hex>" per line; flags: m marker, g gap before, - none */
	const char *packets;
	/* "<timestamp> [key] [sets] <hex>" per unit, "dropped: <why>" */
	const char *units;
};

// clang-format off
static const struct depacketiser_case h264_cases[] = {
	{ "single NAL units", "H264", SPROP,
		LEARN "3 m 4199\n4 m 4199bb\n",
		LEARNT "3 00000002 4199\n4 00000003 4199bb\n" },
	{ "no marker: the next timestamp ends the picture", "H264", SPROP,
		"1 - 6588aa\n2 - 4198aa\n3 - 4199\n",
		LEARNT },
	{ "sets in band, each in its packet", "H264", "",
		SETS_A "1 m 6588aa\n2 m 4198aa\n3 m 41ff\n",
		LEARNT "3 00000002 41ff\n" },
	{ "sets with timestamps and markers of their own", "H264", "",
		"1 m " SPS_A "\n2 m " PPS "\n3 m 6588aa\n4 m 4198aa\n5 - 41ff\n",
		"3 key sets 00000003 6588aa\n4 00000003 4198aa\n" },
	{ "nothing before the first keyframe", "H264", SPROP,
		"1 m 4198aa\n2 m 4198bb\n3 m 6588\n4 m 4198\n",
		"3 key sets 00000002 6588\n4 00000002 4198\n" },
	{ "nothing before the sets", "H264", "",
		"1 m 6588\n2 m 4198\n" SETS_A "3 m 4198\n4 m 6588\n5 m 4198\n",
		"4 key sets 00000002 6588\n5 00000002 4198\n" },
	{ "STAP-A", "H264", "",
		"1 m 78 " SPS_A_BYTES PPS_BYTES "0003 6588aa\n2 m 78 0003 4198aa\n3 - 09f0\n",
		LEARNT },
	{ "STAP-A with zeros behind", "H264", SPROP,
		LEARN "3 m 78 0002 4199 0000 0000\n",
		LEARNT "3 00000002 4199\n" },
	{ "STAP-A beyond the end", "H264", SPROP,
		LEARN "3 m 78 0002 4199 0004 41\n4 m 4199\n5 m 6588\n",
		LEARNT "dropped: an aggregation packet is too short\n"
			"dropped: a picture that it needs was lost\n5 key 00000002 6588\n" },
	{ "STAP-B", "H264", SPROP, LEARN "3 m 79 1234 0002 4199\n", LEARNT "3 00000002 4199\n" },
	{ "MTAP16", "H264", SPROP,
		LEARN "3 m 7a 1234 0002 000000 4199\n",
		LEARNT "3 00000002 4199\n" },
	{ "MTAP24", "H264", SPROP,
		LEARN "3 m 7b 1234 0002 00000000 4199\n",
		LEARNT "3 00000002 4199\n" },
	{ "FU-A", "H264", SPROP,
		LEARN "3 - 5c81 99aa\n3 - 5c01 bb\n3 m 5c41 ccdd\n",
		LEARNT "3 00000006 4199aabbccdd\n" },
	{ "FU-B", "H264", SPROP,
		LEARN "3 - 5d81 0001 99aa\n3 m 5c41 ccdd\n",
		LEARNT "3 00000005 4199aaccdd\n" },
	{ "FU-A with start and end", "H264", SPROP,
		LEARN "3 m 5cc1 99aa\n",
		LEARNT "3 00000003 4199aa\n" },
	{ "FU-A of which the type changes", "H264", SPROP,
		LEARN "3 - 5c81 99aa\n3 m 5c65 ccdd\n",
		LEARNT "3 00000005 4199aaccdd\n" },
	{ "FU-A with empty pieces", "H264", SPROP,
		LEARN "3 - 5c81\n3 - 5c01 99aa\n3 - 5c01\n3 m 5c41\n",
		LEARNT "3 00000003 4199aa\n" },
	{ "FU-A with an empty end", "H264", SPROP,
		LEARN "3 - 5c81 99aa\n3 - 5c01\n3 m 5c41\n",
		LEARNT "3 00000003 4199aa\n" },
	{ "FU-A without start", "H264", SPROP,
		LEARN "3 - 5c01 bb\n3 m 5c41 ccdd\n4 m 6588\n",
		LEARNT "dropped: the start of a NAL unit is missing\n4 key 00000002 6588\n" },
	{ "FU-A without end, then another NAL unit", "H264", SPROP,
		LEARN "3 - 5c81 99aa\n3 m 4100\n4 m 4199\n5 m 6588\n",
		LEARNT "dropped: the end of a NAL unit is missing\n"
			"dropped: a picture that it needs was lost\n5 key 00000002 6588\n" },
	{ "FU-A without end, then another timestamp", "H264", SPROP,
		LEARN "3 - 5c81 99aa\n4 m 6588\n",
		LEARNT "dropped: the end of a NAL unit is missing\n4 key 00000002 6588\n" },
	{ "FU-A with a marker on each piece", "H264", SPROP,
		LEARN "3 m 5c81 99aa\n3 m 5c01 bb\n3 m 5c41 cc\n",
		LEARNT "3 00000005 4199aabbcc\n" },
	{ "a FU-A of parameter sets", "H264", "",
		"1 - 7c87 42c00ad90426c044000003\n1 - 7c47 000400000300c83c489920\n1 - " PPS "\n"
			LEARN "3 - 09f0\n",
		LEARNT },
	{ "a loss inside a FU-A", "H264", SPROP,
		LEARN "3 - 5c81 99aa\n3 mg 5c41 ccdd\n4 m 4199\n5 m 6588\n6 m 4199\n",
		LEARNT "dropped: a packet was lost\ndropped: a picture that it needs was lost\n"
			"5 key 00000002 6588\n6 00000002 4199\n" },
	{ "a loss between pictures", "H264", SPROP,
		LEARN "4 mg 4199\n5 m 6588\n",
		LEARNT "dropped: a picture that it needs was lost\n5 key 00000002 6588\n" },
	{ "a loss before a keyframe costs nothing", "H264", SPROP,
		LEARN "4 mg 6588\n5 m 4199\n",
		LEARNT "4 key 00000002 6588\n5 00000002 4199\n" },
	{ "a lost first slice", "H264", SPROP,
		LEARN "4 mg 6544\n5 m 6588\n",
		LEARNT "dropped: the first slice of the picture is missing\n5 key 00000002 6588\n" },
	{ "several slices", "H264", SPROP,
		LEARN "3 - 4199\n3 - 4144\n3 m 4122\n",
		LEARNT "3 00000002 4199 00000002 4144 00000002 4122\n" },
	{ "several slices, a marker on each", "H264", SPROP,
		"1 m 6588\n1 m 6544\n2 m 4199\n2 m 4144\n3 m 4199\n",
		"1 key sets 00000002 6588 00000002 6544\n2 00000002 4199 00000002 4144\n" },
	{ "markers that begin to lie", "H264", SPROP,
		LEARN "3 m 4199\n3 m 4144\n4 m 4199\n5 m 6588\n5 m 6544\n6 m 4199\n",
		LEARNT "3 00000002 4199\ndropped: the first slice of the picture is missing\n"
			"dropped: a picture that it needs was lost\n"
			"5 key 00000002 6588 00000002 6544\n" },
	{ "two pictures with one timestamp", "H264", SPROP,
		LEARN "3 - 4199\n3 m 4199aa\n",
		LEARNT "3 00000002 4199\n3 00000003 4199aa\n" },
	{ "timestamps stand still, an AUD begins each picture", "H264", SPROP,
		"1 - 09f0\n1 - 6588\n1 - 09f0\n1 - 4199\n1 - 09f0\n",
		"1 key sets 00000002 6588\n1 00000002 4199\n" },
	{ "AUD and filler are dropped", "H264", SPROP,
		LEARN "3 - 09f0\n3 - 4199\n3 m 0cffff80\n",
		LEARNT "3 00000002 4199\n" },
	{ "SEI is kept, before and behind", "H264", SPROP,
		LEARN "3 - 06 0501ff80\n3 - 4199\n3 m 06 0501ee80\n",
		LEARNT "3 00000005 060501ff80 00000002 4199 00000005 060501ee80\n" },
	{ "SEI with a marker and a timestamp of its own is no picture", "H264", SPROP,
		LEARN "3 m 06 0501ff80\n4 m 4199\n",
		LEARNT "4 00000005 060501ff80 00000002 4199\n" },
	{ "a recovery point is a keyframe", "H264", SPROP,
		"1 - 06 06018480\n1 m 4198aa\n2 m 4199\n3 - 09f0\n",
		"1 key sets 00000005 0606018480 00000003 4198aa\n2 00000002 4199\n" },
	{ "unknown types are skipped", "H264", SPROP,
		LEARN "3 - 00aa\n3 - 1eaa\n3 - 1faa\n3 - 6eaa\n3 m 4199\n",
		LEARNT "3 00000002 4199\n" },
	{ "empty payloads are skipped", "H264", SPROP,
		LEARN "3 -\n3 m 4199\n",
		LEARNT "3 00000002 4199\n" },
	{ "an empty payload may carry the marker", "H264", SPROP,
		LEARN "3 - 4199\n3 m\n",
		LEARNT "3 00000002 4199\n" },
	{ "Annex B in a payload", "H264", "",
		"1 m 00000001 " SPS_A " 00000001 " PPS
			" 000001 6588aa\n2 m 00000001 4198aa\n3 - 09f0\n",
		LEARNT },
	{ "sets and a picture glued behind the first", "H264", "",
		"1 m " SPS_A " 00000001 " PPS " 00000001 6588aa\n2 m 4198aa\n3 - 09f0\n",
		LEARNT },
	{ "slices glued by a camera that glues", "H264", "",
		"1 m " SPS_A " 00000001 " PPS
			" 00000001 6588aa 000001 6544\n2 m 4198aa 000001 4144\n3 - 09f0\n",
		"1 key sets 00000003 6588aa 00000002 6544\n2 00000003 4198aa 00000002 4144\n" },
	{ "sets and a picture glued in a FU-A", "H264", "",
		"1 - 7c87 42c00ad90426c044000003000400000300c83c489920 0000\n" "1 m 7c47 0001 " PPS
			" 00000001 6588aa\n2 m 4198aa\n3 - 09f0\n",
		LEARNT },
	{ "zeros behind a NAL unit", "H264", SPROP,
		LEARN "3 m 4199000000\n",
		LEARNT "3 00000002 4199\n" },
	{ "unchanged sets say nothing", "H264", SPROP,
		LEARN "3 - " SPS_A "\n3 - " PPS "\n3 m 6588\n",
		LEARNT "3 key 00000002 6588\n" },
	{ "changed sets are said", "H264", SPROP,
		LEARN "3 - " SPS_B "\n3 - " PPS "\n3 m 6588\n",
		LEARNT "3 key sets 00000002 6588\n" },
	{ "broken sets in the SDP are skipped", "H264", "sprop-parameter-sets=TeAo,,!!",
		SETS_A LEARN "3 - 09f0\n",
		LEARNT },
};
// clang-format on

// clang-format off
static const struct depacketiser_case h265_cases[] = {
	{ "single NAL units", "H265", SPROP5,
		LEARN5 "3 m 0201d0\n",
		LEARNT5 "3 00000003 0201d0\n" },
	{ "sets in band", "H265", "", SETS5 LEARN5 "3 - 460110\n", LEARNT5 },
	{ "some sets in the SDP are as none", "H265", "sprop-sps=QgEBAWAAAAMAkAAAAwAAAwAeoCCBBZZWaSTK8BaAgAAAAwCAAAAMhA==",
		LEARN5 "3 m 0201d0\n",
		"" },
	{ "AP", "H265", "",
		"1 m 6001 0018 " VPS5 "0028 " SPS5 "0007 " PPS5
			"0004 2601afaa\n2 m 0201d0aa\n3 - 460110\n",
		LEARNT5 },
	{ "AP beyond the end", "H265", SPROP5,
		LEARN5 "3 m 6001 0003 0201d0 0004 02\n",
		LEARNT5 "dropped: an aggregation packet is too short\n" },
	{ "FU", "H265", SPROP5,
		LEARN5 "3 - 6201 81 d0aa\n3 - 6201 01 bb\n3 m 6201 41 cc\n",
		LEARNT5 "3 00000006 0201d0aabbcc\n" },
	{ "FU with start and end", "H265", SPROP5,
		LEARN5 "3 m 6201 c1 d0aa\n",
		LEARNT5 "3 00000004 0201d0aa\n" },
	{ "FU without start", "H265", SPROP5,
		LEARN5 "3 m 6201 41 d0aa\n4 m 2601af\n",
		LEARNT5 "dropped: the start of a NAL unit is missing\n4 key 00000003 2601af\n" },
	{ "FU without end", "H265", SPROP5,
		LEARN5 "3 - 6201 81 d0aa\n4 m 2601af\n",
		LEARNT5 "dropped: the end of a NAL unit is missing\n4 key 00000003 2601af\n" },
	{ "PACI is unwrapped", "H265", SPROP5,
		LEARN5 "3 m 6401 0220 abcd d0aa\n",
		LEARNT5 "3 00000004 0201d0aa\n" },
	{ "PACI of a FU", "H265", SPROP5,
		LEARN5 "3 - 6401 6210 ab 81 d0aa\n3 m 6401 6200 41 bb\n",
		LEARNT5 "3 00000005 0201d0aabb\n" },
	{ "PACI in a PACI is skipped", "H265", SPROP5,
		LEARN5 "3 m 6401 6400 0200 d0\n3 m 0201d0\n",
		LEARNT5 "3 00000003 0201d0\n" },
	{ "DONL in single NAL units", "H265", SPROP5 "; sprop-max-don-diff=1",
		"1 m 2601 0001 afaa\n2 m 0201 0002 d0aa\n3 - 4601 0003 10\n",
		LEARNT5 },
	{ "DONL in an AP", "H265", SPROP5 "; sprop-max-don-diff=2",
		"1 m 6001 0001 0004 2601afaa 00 0003 260140\n2 m 0201 0002 d0aa\n3 - 4601 0003 10\n",
		"1 key sets 00000004 2601afaa 00000003 260140\n2 00000004 0201d0aa\n" },
	{ "DONL in a FU", "H265", SPROP5 "; sprop-max-don-diff=1",
		"1 m 2601 0001 afaa\n2 - 6201 81 0002 d0\n2 m 6201 41 aa\n3 - 4601 0003 10\n",
		LEARNT5 },
	{ "all IRAP types are keyframes", "H265", SPROP5,
		LEARN5 "3 m 2001af\n4 m 2201af\n5 m 2401af\n6 m 2801af\n7 m 2a01af\n",
		LEARNT5 "3 key 00000003 2001af\n4 key 00000003 2201af\n5 key 00000003 2401af\n"
			"6 key 00000003 2801af\n7 key 00000003 2a01af\n" },
	{ "TRAIL_N, type 0, is a picture", "H265", SPROP5,
		LEARN5 "3 m 0001d0\n",
		LEARNT5 "3 00000003 0001d0\n" },
	{ "leading pictures of the CRA where decoding begins are dropped", "H265", SPROP5,
		"1 m 2a01afaa\n2 m 1201d0\n3 m 0201d0\n4 m 2a01af\n5 m 1201d0\n",
		"1 key sets 00000004 2a01afaa\ndropped: it needs pictures from before the keyframe\n"
			"3 00000003 0201d0\n4 key 00000003 2a01af\n5 00000003 1201d0\n" },
	{ "several slices", "H265", SPROP5,
		LEARN5 "3 - 0201d0\n3 m 020150\n",
		LEARNT5 "3 00000003 0201d0 00000003 020150\n" },
	{ "several slices, a marker on each", "H265", SPROP5,
		"1 m 2601af\n1 m 26012f\n2 m 0201d0\n",
		"1 key sets 00000003 2601af 00000003 26012f\n" },
	{ "AUD, filler, end of sequence and reserved types are dropped", "H265", SPROP5,
		LEARN5 "3 - 460110\n3 - 4c01ff\n3 - 4801ff\n3 - 5a01ff\n3 - 1401ff\n3 m 0201d0\n",
		LEARNT5 "3 00000003 0201d0\n" },
	{ "SEI is kept", "H265", SPROP5,
		LEARN5 "3 - 4e010180\n3 m 0201d0\n",
		LEARNT5 "3 00000004 4e010180 00000003 0201d0\n" },
	{ "sets and a picture glued", "H265", "",
		"1 m " VPS5 "00000001" SPS5 "00000001" PPS5
			"00000001 2601afaa\n2 m 0201d0aa\n3 - 460110\n",
		LEARNT5 },
	{ "Annex B in a payload", "H265", SPROP5,
		"1 m 00000001 2601afaa\n2 m 000001 0201d0aa\n3 - 460110\n",
		LEARNT5 },
};
// clang-format on

#define LC "config=1210; " /* AAC-LC, 44100 Hz, stereo */
#define HBR "sizelength=13; indexlength=3; indexdeltalength=3; mode=AAC-hbr; " LC

// clang-format off
static const struct depacketiser_case aac_cases[] = {
	{ "one AU", "MPEG4-GENERIC", HBR, "100 m 0010 0018 aabbcc\n", "100 key sets aabbcc\n" },
	{ "three AUs, 1024 samples apart", "MPEG4-GENERIC", HBR,
		"100 m 0030 0010 0008 0018 aabb cc ddeeff\n",
		"100 key sets aabb\n1124 key cc\n2148 key ddeeff\n" },
	{ "hbr is meant when nothing is said", "MPEG4-GENERIC", "",
		"100 m 0010 0018 aabbcc\n",
		"100 key sets aabbcc\n" },
	{ "fragments", "MPEG4-GENERIC", HBR,
		"100 - 0010 0028 aabb\n100 - 0010 0028 ccdd\n100 m 0010 0028 ee\n",
		"100 key sets aabbccddee\n" },
	{ "fragments without a marker", "MPEG4-GENERIC", HBR,
		"100 - 0010 0018 aabb\n100 - 0010 0018 cc\n",
		"100 key sets aabbcc\n" },
	{ "a lost fragment costs one AU", "MPEG4-GENERIC", HBR,
		"100 - 0010 0028 aabb\n100 mg 0010 0028 ee\n200 m 0010 0008 ff\n",
		"dropped: a packet was lost\ndropped: the pieces of an AU do not fit\n200 key sets ff\n" },
	{ "fragments that never end", "MPEG4-GENERIC", HBR,
		"100 - 0010 0028 aabb\n200 m 0010 0008 ff\n",
		"dropped: the end of an AU is missing\n200 key sets ff\n" },
	{ "a lost packet costs nothing more", "MPEG4-GENERIC", HBR,
		"100 m 0010 0008 aa\n300 mg 0010 0008 bb\n",
		"100 key sets aa\n300 key bb\n" },
	{ "lbr", "MPEG4-GENERIC", "mode=AAC-lbr; sizelength=6; indexlength=2; indexdeltalength=2; " LC,
		"100 m 0010 08 0c aabb ccddee\n",
		"100 key sets aabb\n1124 key ccddee\n" },
	{ "a constant size without headers", "MPEG4-GENERIC", "mode=generic; constantsize=2; sizelength=0; indexlength=0; indexdeltalength=0; " LC,
		"100 m aabb ccdd\n",
		"100 key sets aabb\n1124 key ccdd\n" },
	{ "no headers at all: a packet is an AU", "MPEG4-GENERIC", "sizelength=0; indexlength=0; indexdeltalength=0; " LC,
		"100 - aabb\n100 m ccdd\n",
		"100 key sets aabbccdd\n" },
	{ "CTS and random access in the headers, an auxiliary section", "MPEG4-GENERIC", "sizelength=13; indexlength=3; indexdeltalength=3; ctsdeltalength=6; " "randomaccessindication=1; auxiliarydatasizelength=8; " LC,
		/* 13 size, 3 index, CTS flag 0, RAP 1 | 13, 3, CTS flag 1, 6 bits, RAP 0 */
			"100 m 002a 001040023500 10 ffee aabb cc\n",
		"100 key sets aabb\n1124 key cc\n" },
	{ "ADTS inside an AU", "MPEG4-GENERIC", HBR,
		"100 m 0010 0048 fff15080012000 aabb\n",
		"100 key sets aabb\n" },
	{ "ADTS without AU headers", "MPEG4-GENERIC", HBR,
		"100 m fff15080012000 aabb fff15080010000 cc\n",
		"100 key sets aabb\n1124 key cc\n" },
	{ "an AU beyond the packet", "MPEG4-GENERIC", HBR,
		"100 m 0020 0010 0018 aabb cc\n",
		"100 key sets aabb\ndropped: an AU is longer than its packet\n" },
	{ "headers beyond the packet", "MPEG4-GENERIC", HBR,
		"100 m ff00 0010 aabb\n",
		"dropped: the AU headers make no sense\n" },
	{ "no headers where they should be", "MPEG4-GENERIC", HBR,
		"100 m 0000 aabb\n",
		"dropped: the AU headers make no sense\n" },
	{ "an empty payload", "MPEG4-GENERIC", HBR, "100 m\n", "" },
};
// clang-format on

struct output {
	char text[8192];
	size_t n;
};

PRINTF(2, 3)
static void output_add(struct output *o, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = vsnprintf(o->text + o->n, sizeof(o->text) - o->n, format, arguments);
	va_end(arguments);
	assert_true(n >= 0 && (size_t)n < sizeof(o->text) - o->n);
	o->n += (size_t)n;
}

static void on_unit(void *arg, const struct rtp_unit *unit)
{
	struct output *o = arg;

	output_add(o, "%u%s%s ", unit->timestamp, unit->keyframe ? " key" : "",
		unit->sets_changed ? " sets" : "");
	for (size_t i = 0; i < unit->bytes; i++)
		output_add(o, "%02x", unit->data[i]);
	output_add(o, "\n");
}

static void on_dropped(void *arg, const char *why)
{
	output_add(arg, "dropped: %s\n", why);
}

static const struct rtp_depacketiser_events events = { on_unit, on_dropped };

static struct rtp_depacketiser *start(const struct depacketiser_case *c, struct output *output)
{
	struct rtp_format format = {
		.encoding = c->encoding, .fmtp = c->fmtp, .clock_hz = 44100, .channels = 2
	};
	const char *why = NULL;
	struct rtp_depacketiser *d = rtp_depacketiser_new(&format, &events, output, &why);

	if (!d)
		fail_msg("%s: %s", c->rule, why);
	return d;
}

static size_t parse_hex(uint8_t *ret, size_t size, const char *p, const char *end)
{
	size_t n = 0;

	for (; p < end; p++) {
		unsigned byte;
		if (*p == ' ')
			continue;
		assert_int_equal(
			sscanf(p, "%2x", &byte), 1); // NOLINT(cert-err34-c): two hex digits
		assert_true(n < size && isxdigit((unsigned char)p[1]));
		ret[n++] = (uint8_t)byte;
		p++;
	}
	return n;
}

/* Pushes a line's packet, in a block of its exact size, cut to at most `limit` bytes. Returns its bytes. */
static size_t push_line(struct rtp_depacketiser *d, const char *line, const char *end, size_t limit)
{
	struct rtp_packet packet = { 0 };
	uint8_t bytes[512];
	char *at;

	packet.timestamp = (uint32_t)strtoul(line, &at, 10);
	at++;
	const char *flags = at;
	at += strcspn(at, " \n");
	packet.marker = memchr(flags, 'm', (size_t)(at - flags)) != NULL;
	bool gap = memchr(flags, 'g', (size_t)(at - flags)) != NULL;
	size_t whole = parse_hex(bytes, sizeof(bytes), at, end);
	packet.payload_bytes = whole < limit ? whole : limit;
	uint8_t *exact = malloc(packet.payload_bytes ? packet.payload_bytes : 1);
	assert_non_null(exact);
	memcpy(exact, bytes, packet.payload_bytes);
	packet.payload = exact;
	rtp_depacketiser_push(d, &packet, gap);
	free(exact);
	return whole;
}

/* Plays a script; the packet of line `cut_line` is cut to `cut` bytes. Returns that packet's bytes. */
static size_t play(struct rtp_depacketiser *d, const char *packets, size_t cut_line, size_t cut)
{
	size_t cut_bytes = 0;

	for (size_t i = 0; *packets; i++) {
		const char *end = packets + strcspn(packets, "\n");
		size_t n = push_line(d, packets, end, i == cut_line ? cut : SIZE_MAX);
		if (i == cut_line)
			cut_bytes = n;
		packets = *end ? end + 1 : end;
	}
	return cut_bytes;
}

/* Blanks are for the reader of this file. */
static void strip_blanks(char *ret, const char *p)
{
	for (; *p; p++)
		if (*p != ' ')
			*ret++ = *p;
	*ret = '\0';
}

static void check(const struct depacketiser_case *c)
{
	static char expected[8192], given[8192];
	struct output output = { .n = 0 };
	struct rtp_depacketiser *d = start(c, &output);

	(void)play(d, c->packets, SIZE_MAX, 0);
	rtp_depacketiser_free(d);
	strip_blanks(expected, c->units);
	strip_blanks(given, output.text);
	if (strcmp(given, expected) != 0)
		fail_msg("%s %s: gave\n%sand not\n%s", c->encoding, c->rule, output.text, c->units);
}

static void check_all(const struct depacketiser_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(&cases[i]);
}

static void h264(void **state)
{
	(void)state;
	check_all(h264_cases, ARRAY_LENGTH(h264_cases));
}

static void h265(void **state)
{
	(void)state;
	check_all(h265_cases, ARRAY_LENGTH(h265_cases));
}

static void aac(void **state)
{
	(void)state;
	check_all(aac_cases, ARRAY_LENGTH(aac_cases));
}

/* Every packet of every case, cut at every length: nothing is read beyond it. */
static void cut_all(const struct depacketiser_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t cut = 0, line = 0, bytes;
		size_t lines = 0;
		for (const char *p = cases[i].packets; *p; p++)
			lines += *p == '\n';
		while (line < lines) {
			struct output output = { .n = 0 };
			struct rtp_depacketiser *d = start(&cases[i], &output);
			bytes = play(d, cases[i].packets, line, cut);
			rtp_depacketiser_free(d);
			if (++cut > bytes) {
				cut = 0;
				line++;
			}
		}
	}
}

static void no_cut_reads_beyond_the_end(void **state)
{
	(void)state;
	cut_all(h264_cases, ARRAY_LENGTH(h264_cases));
	cut_all(h265_cases, ARRAY_LENGTH(h265_cases));
	cut_all(aac_cases, ARRAY_LENGTH(aac_cases));
}

/* A NAL unit gives the same unit in pieces of any size. */
static void pieces_of_any_size_give_the_same(void **state)
{
	static const uint8_t nal[] = { 0x65, 0x88, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 };
	const struct depacketiser_case h264_case = { .encoding = "H264", .fmtp = SPROP };
	enum {
		BODY = sizeof(nal) - 1
	};

	(void)state;
	for (size_t piece = 1; piece <= BODY; piece++) {
		struct output output = { .n = 0 };
		struct rtp_depacketiser *d = start(&h264_case, &output);
		for (size_t at = 0; at < BODY; at += piece) {
			size_t n = piece < BODY - at ? piece : BODY - at;
			uint8_t payload[2 + BODY] = { 0x7c, 5 };
			payload[1] |= (at == 0 ? 0x80 : 0) | (at + n == BODY ? 0x40 : 0);
			memcpy(payload + 2, nal + 1 + at, n);
			struct rtp_packet packet = { .payload = payload,
				.payload_bytes = 2 + n,
				.timestamp = 7,
				.marker = at + n == BODY };
			rtp_depacketiser_push(d, &packet, false);
		}
		(void)play(d, "8 m 4198\n", SIZE_MAX, 0);
		rtp_depacketiser_free(d);
		assert_string_equal(output.text, "7 key sets 000000106588010203040506"
						 "0708090a0b0c0d0e\n8 000000024198\n");
	}
}

static void a_unit_beyond_the_limit_is_dropped(void **state)
{
	enum {
		PIECE = 60000
	};
	const struct depacketiser_case c = { .encoding = "H264", .fmtp = SPROP };
	struct output output = { .n = 0 };
	struct rtp_depacketiser *d = start(&c, &output);
	uint8_t *payload = calloc(1, PIECE);

	(void)state;
	assert_non_null(payload);
	memset(payload, 0xaa, PIECE);
	payload[0] = 0x7c;
	payload[1] = 0x85;
	for (size_t bytes = 0; bytes < RTP_UNIT_BYTES + 2 * PIECE; bytes += PIECE) {
		struct rtp_packet packet = { .payload = payload, .payload_bytes = PIECE };
		rtp_depacketiser_push(d, &packet, false);
		payload[1] = 5;
	}
	(void)play(d, "0 m 5c45 aa\n1 m 6588\n2 m 4198\n", SIZE_MAX, 0);
	assert_string_equal(output.text,
		"dropped: the unit is larger than 16 MiB\n1 key sets 000000026588\n"
		"2 000000024198\n");
	rtp_depacketiser_free(d);
	free(payload);
}

static void sets_and_configurations_can_be_asked(void **state)
{
	const struct depacketiser_case video = { .encoding = "H264", .fmtp = SPROP };
	const struct depacketiser_case audio = { .encoding = "MPEG4-GENERIC", .fmtp = HBR };
	const struct depacketiser_case bare = { .encoding = "MPEG4-GENERIC", .fmtp = "" };
	struct output output = { .n = 0 };
	struct rtp_depacketiser *d = start(&video, &output);
	const struct rtp_sound *sound;

	(void)state;
	assert_true(h264_sets_complete(rtp_depacketiser_h264(d)));
	assert_null(rtp_depacketiser_h265(d));
	assert_null(rtp_depacketiser_sound(d));
	/* A stream's own SPS replaces all that the SDP said. */
	(void)play(d, "1 - " SPS_B "\n", SIZE_MAX, 0);
	assert_false(h264_sets_complete(rtp_depacketiser_h264(d)));
	rtp_depacketiser_free(d);

	d = start(&audio, &output);
	sound = rtp_depacketiser_sound(d);
	assert_int_equal(sound->config_bytes, 2);
	assert_memory_equal(sound->config, "\x12\x10", 2);
	assert_int_equal(sound->hz, 44100);
	assert_int_equal(sound->channels, 2);
	assert_int_equal(sound->unit_ticks, 1024);
	rtp_depacketiser_free(d);

	d = start(&bare, &output); /* AAC-LC of the rtpmap's 44100/2 */
	assert_memory_equal(rtp_depacketiser_sound(d)->config, "\x12\x10", 2);
	rtp_depacketiser_free(d);
	rtp_depacketiser_free(NULL);
}

static void unknown_encodings_are_refused(void **state)
{
	struct rtp_format format = { .encoding = "MPA", .fmtp = "", .clock_hz = 44100 };
	const char *why = NULL;

	(void)state;
	assert_null(rtp_depacketiser_new(&format, &events, NULL, &why));
	assert_string_equal(why, "the encoding is not supported");
	format.encoding = "MPEG4-GENERIC";
	format.clock_hz = 0;
	assert_null(rtp_depacketiser_new(&format, &events, NULL, &why));
	assert_string_equal(why, "the AAC configuration makes no sense");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h264),
		cmocka_unit_test(h265),
		cmocka_unit_test(aac),
		cmocka_unit_test(no_cut_reads_beyond_the_end),
		cmocka_unit_test(pieces_of_any_size_give_the_same),
		cmocka_unit_test(a_unit_beyond_the_limit_is_dropped),
		cmocka_unit_test(sets_and_configurations_can_be_asked),
		cmocka_unit_test(unknown_encodings_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
