import Support

/// Packets made once by scapy 2.5.0, each with the expression that made it (`bytes(EXPRESSION).hex()`).
enum Scapy {
  // Ether(dst="02:00:00:00:00:02",src="02:00:00:00:00:01",type=0x88a8)/Dot1Q(vlan=200,prio=3)/Dot1Q(vlan=100)/IP(src="10.1.0.2",dst="10.2.0.2")/UDP(sport=1000,dport=2000)/b"hello"
  static let qinq = octets(
    """
    02000000000202000000000188a860c88100006408004500002100010000401166c50a0100020a02000203e807d0000d9c43
    68656c6c6f
    """)

  // Ether(dst="02:00:00:00:00:02",src="02:00:00:00:00:01")/Dot1Q(vlan=100)/IPv6(src="2001:db8::1",dst="2001:db8::2")/UDP(sport=53,dport=5353)/b"x"
  static let vlan = octets(
    """
    0200000000020200000000018100006486dd600000000009114020010db800000000000000000000000120010db800000000
    0000000000000002003514e90009174978
    """)

  // ARP(op=1,hwsrc="02:00:00:00:00:01",psrc="10.1.0.1",pdst="10.1.0.2")
  static let arpRequest = octets("00010800060400010200000000010a0100010000000000000a010002")

  // IP(src="10.1.0.2",dst="10.2.0.2",tos=0xb9,id=0x1234,flags="DF",ttl=7,options=[IPOption_RR(routers=["0.0.0.0","0.0.0.0"]),IPOption_EOL()])/TCP(sport=40000,dport=443,flags="S",seq=1,options=[("NOP",None),("SAckOK",b""),("MSS",1460),("WScale",7)])
  static let ipv4Options = octets(
    """
    48b900401234400007063eba0a0100020a020002070b040000000000000000009c4001bb000000010000000080022000efbd
    0000010402020405b40303070000
    """)

  // fragment(IP(src="10.1.0.2",dst="10.2.0.2",id=77)/UDP(sport=1,dport=2)/(b"abcdefgh"*4),fragsize=24)[0]
  static let ipv4First = octets(
    "4500002c004d20004011466e0a0100020a020002000100020028a53e61626364656667686162636465666768")

  // fragment(IP(src="10.1.0.2",dst="10.2.0.2",id=77)/UDP(sport=1,dport=2)/(b"abcdefgh"*4),fragsize=24)[1]
  static let ipv4Last = octets("45000024004d0003401166730a0100020a02000261626364656667686162636465666768")

  // IPv6(src="2001:db8::1",dst="2001:db8::2",tc=0xb8,fl=0x12345,hlim=9)/IPv6ExtHdrHopByHop(options=[RouterAlert()])/IPv6ExtHdrRouting(addresses=["2001:db8::3"],segleft=0)/IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0"*12)])/TCP(sport=80,dport=50000,flags="SA",options=[("MSS",8960)])
  static let ipv6Chain = octets(
    """
    6b8123450048000920010db800000000000000000000000120010db80000000000000000000000022b000502000001003c02
    00000000000020010db80000000000000000000000030601010c0000000000000000000000000050c3500000000000000000
    601220003bb5000002042300
    """)

  // IPv6(src="2001:db8::1",dst="2001:db8::2")/IPv6ExtHdrFragment(id=0xdeadbeef,offset=0,m=1,nh=17)/UDP(sport=7,dport=9,len=40,chksum=0x1111)/(b"q"*8)
  static let ipv6First = octets(
    """
    6000000000182c4020010db800000000000000000000000120010db800000000000000000000000211000001deadbeef0007
    0009002811117171717171717171
    """)

  // IPv6(src="2001:db8::1",dst="2001:db8::2")/IPv6ExtHdrFragment(id=0xdeadbeef,offset=2,m=0,nh=17)/Raw(b"q"*24)
  static let ipv6Later = octets(
    """
    6000000000202c4020010db800000000000000000000000120010db800000000000000000000000211000010deadbeef7171
    71717171717171717171717171717171717171717171
    """)

  // IPv6(src="2001:db8::1",dst="2001:db8::2")/AH(nh=58,payloadlen=4,spi=1,seq=2,icv=b"i"*12)/ICMPv6EchoRequest(id=3,seq=4,data=b"ping")
  static let ipv6AH = octets(
    """
    600000000024334020010db800000000000000000000000120010db80000000000000000000000023a040000000000010000
    00026969696969696969696969698000456c0003000470696e67
    """)

  // IP(src="10.1.0.2",dst="10.1.0.1",ttl=3)/ICMP(id=5,seq=6)/b"odd"
  static let echo4 = octets("4500001f000100000301a3d90a0100020a01000108002490000500066f6464")

  // IPv6(src="2001:db8::2",dst="2001:db8::1",hlim=3)/ICMPv6EchoRequest(id=5,seq=6,data=b"odd")
  static let echo6 = octets(
    """
    60000000000b3a0320010db800000000000000000000000220010db8000000000000000000000001800050d5000500066f64
    64
    """)

  // IP(src="10.1.0.1",dst="10.1.0.2",ttl=64)/ICMP(type=0,id=5,seq=6)/b"odd"
  static let echoReply4 = octets("4500001f00010000400166d90a0100010a01000200002c90000500066f6464")

  // IPv6(src="2001:db8::1",dst="2001:db8::2",hlim=64)/ICMPv6EchoReply(id=5,seq=6,data=b"odd")
  static let echoReply6 = octets(
    """
    60000000000b3a4020010db800000000000000000000000120010db800000000000000000000000281004fd5000500066f64
    64
    """)

  // IPv6(src="fe80::1",dst="ff02::1:ff00:2",hlim=255)/ICMPv6ND_NS(tgt="2001:db8::2")/ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01")
  static let solicitation = octets(
    """
    6000000000203afffe800000000000000000000000000001ff0200000000000000000001ff00000287004b5f000000002001
    0db80000000000000000000000020101020000000001
    """)

  // IPv6(src="2001:db8::2",dst="fe80::1",hlim=255)/ICMPv6ND_NA(tgt="2001:db8::2",R=1,S=1,O=1)/ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:02")
  static let advertisement = octets(
    """
    6000000000203aff20010db8000000000000000000000002fe800000000000000000000000000001880039a9e00000002001
    0db80000000000000000000000020201020000000002
    """)

  // IPv6(src="::",dst="ff02::1:ff00:2",hlim=255)/ICMPv6ND_NS(tgt="2001:db8::2")
  static let detection = octets(
    """
    6000000000183aff00000000000000000000000000000000ff0200000000000000000001ff00000287004ceb000000002001
    0db8000000000000000000000002
    """)

  // IPv6(src="fe80::1",dst="fe80::2",hlim=255)/ICMPv6ND_NA(tgt="fe80::1",R=0,S=0,O=1)/ICMPv6NDOptMTU(mtu=1500)/ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:09")
  static let manyOptions = octets(
    """
    6000000000283afffe800000000000000000000000000001fe80000000000000000000000000000288004d2f20000000fe80
    000000000000000000000000000105010000000005dc0201020000000009
    """)

  // IP(src="10.1.0.1",dst="10.1.0.2",tos=0xc0,id=0)/ICMP(type=11,code=0)/(IP(src="10.1.0.2",dst="10.2.0.2",id=9)/UDP(sport=1,dport=2)/b"data")
  static let timeExceeded4 = octets(
    """
    45c0003c00000000400165fd0a0100010a0100020b000924000000004500002000090000401166be0a0100020a0200020001
    0002000c130a64617461
    """)

  // IP(src="10.1.0.1",dst="10.1.0.2",tos=0xc0,id=0)/ICMP(type=3,code=4,nexthopmtu=1400)/(IP(src="10.1.0.2",dst="10.2.0.2",id=9)/UDP(sport=1,dport=2)/b"data")
  static let tooBig4 = octets(
    """
    45c0003c00000000400165fd0a0100010a01000203040ba8000005784500002000090000401166be0a0100020a0200020001
    0002000c130a64617461
    """)

  // IPv6(src="2001:db8::1",dst="2001:db8::2",tc=0xc0)/ICMPv6TimeExceeded()/(IPv6(src="2001:db8::2",dst="2001:db8:1::2",hlim=1)/UDP(sport=1,dport=2)/b"data")
  static let timeExceeded6 = octets(
    """
    6c000000003c3a4020010db800000000000000000000000120010db800000000000000000000000203003024000000006000
    0000000c110120010db800000000000000000000000220010db800010000000000000000000200010002000ccb9964617461
    """)

  // IPv6(src="2001:db8::1",dst="2001:db8::2",tc=0xc0)/ICMPv6PacketTooBig(mtu=1400)/(IPv6(src="2001:db8::2",dst="2001:db8:1::2",hlim=1)/UDP(sport=1,dport=2)/b"data")
  static let tooBig6 = octets(
    """
    6c000000003c3a4020010db800000000000000000000000120010db800000000000000000000000202002bac000005786000
    0000000c110120010db800000000000000000000000220010db800010000000000000000000200010002000ccb9964617461
    """)

  // IP(src="10.1.0.2",dst="10.2.0.2",id=9)/UDP(sport=1,dport=2)/b"data"
  static let udp4 = octets("4500002000090000401166be0a0100020a02000200010002000c130a64617461")

  // IPv6(src="2001:db8::2",dst="2001:db8:1::2",hlim=1)/UDP(sport=1,dport=2)/b"data"
  static let udp6 = octets(
    """
    60000000000c110120010db800000000000000000000000220010db800010000000000000000000200010002000ccb996461
    7461
    """)

  // IP(src="10.1.0.2",dst="10.2.0.2")/SCTP(sport=5,dport=6)/SCTPChunkCookieAck()
  static let sctp = octets("45000024000100004084664f0a0100020a02000200050006000000008009394f0b000004")

  // IP(src="10.1.0.2",dst="10.2.0.2")/TCP(sport=40000,dport=443,flags="S",seq=1,options=[("NOP",None),("MSS",1300),("NOP",None),("NOP",None),("NOP",None)])
  static let synClamped = octets(
    "4500003000010000400666c10a0100020a0200029c4001bb000000010000000070022000a3ce00000102040514010101")

  // IP(src="10.1.0.2",dst="10.2.0.2")/TCP(sport=40000,dport=443,flags="S",seq=1,options=[("NOP",None),("MSS",1460),("NOP",None),("NOP",None),("NOP",None)])
  static let synOdd = octets(
    "4500003000010000400666c10a0100020a0200029c4001bb00000001000000007002200003ce000001020405b4010101")

  // IP(src="192.0.2.1",dst="192.0.2.2",tos=0x2e<<2,len=1400,id=0x4242,flags="DF",ttl=64,proto=17)
  static let headerOnly4 = octets("45b805784242400040116e77c0000201c0000202")

  // IP(src="192.0.2.254",dst="192.0.2.1",tos=0xc0,ttl=255,id=0,flags="DF")/UDP(sport=49153,dport=3784)/BFD(diag=3,sta=3,flags="F",detect_mult=3,my_discriminator=0x11223344,your_discriminator=0x55667788,min_tx_interval=50000,min_rx_interval=60000,echo_rx_interval=0)
  static let bfdUp = octets(
    """
    45c0003400004000ff11f5f8c00002fec0000201c0010ec80020c5f523d0031811223344556677880000c3500000ea600000
    0000
    """)

  // IPv6(src="2001:db8:f::fe",dst="2001:db8:f::1",tc=0xc0,hlim=255)/UDP(sport=65535,dport=3784)/BFD(diag=7,sta=0,flags="PD",detect_mult=255,my_discriminator=0xdeadbeef,your_discriminator=0,min_tx_interval=1000000,min_rx_interval=0,echo_rx_interval=1)
  static let bfdPoll = octets(
    """
    6c000000002011ff20010db8000f000000000000000000fe20010db8000f00000000000000000001ffff0ec800208e2e2722
    ff18deadbeef00000000000f42400000000000000001
    """)

  // IP(src="192.0.2.254",dst="192.0.2.1",ttl=255)/UDP(sport=49153,dport=3784)/BFD(sta=2,flags="",detect_mult=3,my_discriminator=1,your_discriminator=2,min_tx_interval=1000000,min_rx_interval=1000000,echo_rx_interval=0)
  static let bfdInit = octets(
    """
    4500003400010000ff1136b8c00002fec0000201c0010ec8002003ab208003180000000100000002000f4240000f42400000
    0000
    """)

  static let all = [
    qinq, vlan, arpRequest, ipv4Options, ipv4First, ipv4Last, ipv6Chain, ipv6First, ipv6Later, ipv6AH, echo4,
    echo6, echoReply4, echoReply6, solicitation, advertisement, detection, manyOptions, timeExceeded4, tooBig4,
    timeExceeded6, tooBig6, udp4, udp6, sctp, synClamped, synOdd, headerOnly4, bfdUp,
    bfdPoll, bfdInit,
  ]

  private static func octets(_ hex: String) -> [UInt8] { [UInt8](hex: hex) ?? [] }
}
