import Testing
import Wire

@Suite struct AddressTests {
  /// Text, canonical text and both halves, made once by Python's ipaddress module.
  static let ipv6: [(String, String, UInt64, UInt64)] = [
    ("::", "::", 0x0000_0000_0000_0000, 0x0000_0000_0000_0000),
    ("::1", "::1", 0x0000_0000_0000_0000, 0x0000_0000_0000_0001),
    ("1::", "1::", 0x0001_0000_0000_0000, 0x0000_0000_0000_0000),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", 0x2001_0db8_0000_0000, 0x0001_0000_0000_0001),
    ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1", 0x2001_0000_0000_0001, 0x0000_0000_0000_0001),
    ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4", 0x0001_0000_0000_0002, 0x0000_0000_0003_0004),
    ("0:0:0:0:0:ffff:0:1:", "", 0, 0),
    ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8", 0x0000_0002_0003_0004, 0x0005_0006_0007_0008),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0", 0x0001_0002_0003_0004, 0x0005_0006_0007_0000),
    ("0:1:0:1:0:1:0:1", "0:1:0:1:0:1:0:1", 0x0000_0001_0000_0001, 0x0000_0001_0000_0001),
    ("64:ff9b::192.0.2.33", "64:ff9b::c000:221", 0x0064_ff9b_0000_0000, 0x0000_0000_c000_0221),
    ("::1.2.3.4", "::102:304", 0x0000_0000_0000_0000, 0x0000_0000_0102_0304),
    ("2001:DB8::ABCD", "2001:db8::abcd", 0x2001_0db8_0000_0000, 0x0000_0000_0000_abcd),
    ("1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:c000:201", 0x0001_0002_0003_0004, 0x0005_0006_c000_0201),
    ("0000:00b0:076c:0000:0000:1cfb:de52:001a", "0:b0:76c::1cfb:de52:1a", 0x0000_00b0_076c_0000, 0x0000_1cfb_de52_001a),
    ("0000:0000:ea95:0000:009e:0000:0000:0000", "0:0:ea95:0:9e::", 0x0000_0000_ea95_0000, 0x009e_0000_0000_0000),
    ("0000:00d1:0000:0000:0000:d18a:0000:0000", "0:d1::d18a:0:0", 0x0000_00d1_0000_0000, 0x0000_d18a_0000_0000),
    ("0000:0000:0000:8c8f:0060:d75b:0000:0000", "::8c8f:60:d75b:0:0", 0x0000_0000_0000_8c8f, 0x0060_d75b_0000_0000),
  ]

  @Test(arguments: ipv6) func ipv6Text(text: String, canonical: String, high: UInt64, low: UInt64) throws {
    guard !canonical.isEmpty else {
      #expect(IPAddress(text) == nil)
      return
    }
    let address = try #require(IPAddress(text))
    #expect(address == IPAddress(high: high, low: low))
    #expect(address.description == canonical)
    #expect(IPAddress(canonical) == address)
  }

  @Test(arguments: ["0.0.0.0", "10.1.0.2", "192.0.2.254", "255.255.255.255"])
  func ipv4Text(text: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.isIPv4 && address.bitWidth == 32)
    #expect(address.description == text)
  }

  @Test(arguments: [
    "", "1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.-4", "1.2.3.4 ", " 1.2.3.4", "1..2.3", "1.2.3.4/8",
    ":",
    ":::", "1:", ":1", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::1:2:3:4:5:6:7:8", "12345::", "g::",
    "fe80::1%eth0",
    "1.2.3.4::", "::1.2.3", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "::ffff:1.2.3.4", "::ffff:102:304", "[::1]", "::１",
  ])
  func refusedText(text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test func kinds() throws {
    let text = { (text: String) in try #require(IPAddress(text)) }
    #expect(try text("127.9.9.9").isLoopback && text("::1").isLoopback && !text("::2").isLoopback)
    #expect(try text("224.0.0.1").isMulticast && text("ff02::1").isMulticast && !text("223.255.255.255").isMulticast)
    #expect(try text("169.254.1.1").isLinkLocal && text("febf::1").isLinkLocal && !text("fec0::1").isLinkLocal)
    #expect(try text("0.0.0.0").isUnspecified && text("::").isUnspecified && !text("::1").isUnspecified)
    #expect(try text("255.255.255.255").isBroadcast && !text("255.255.255.254").isBroadcast)
    #expect(try text("10.0.0.9") < text("10.0.0.10") && text("9.0.0.0") < text("2001:db8::"))
    #expect(try text("2001:db8::12:3456").solicitedNode == text("ff02::1:ff12:3456"))
    #expect(try MACAddress(multicast: text("ff02::1:ff12:3456")) == MACAddress("33:33:ff:12:34:56"))
    #expect(try MACAddress(multicast: text("224.129.2.3")) == MACAddress("01:00:5e:01:02:03"))
    // RFC 4291, appendix A: 34-56-78-9A-BC-DE becomes 3656:78ff:fe9a:bcde.
    #expect(try IPAddress(linkLocal: #require(MACAddress("34:56:78:9a:bc:de"))) == text("fe80::3656:78ff:fe9a:bcde"))
  }

  @Test func macText() throws {
    let mac = try #require(MACAddress("02:aB:00:0c:Ff:01"))
    #expect(mac.rawValue == 0x02ab_000c_ff01)
    #expect(mac.description == "02:ab:00:0c:ff:01")
    #expect(!mac.isMulticast && MACAddress.broadcast.isMulticast && MACAddress.broadcast.isBroadcast)
    for text in [
      "", "02:ab:00:0c:ff", "02:ab:00:0c:ff:1", "02:ab:00:0c:ff:01:", "02-ab-00-0c-ff-01", "02:ab:00:0c:ff:0g",
    ] {
      #expect(MACAddress(text) == nil)
    }
  }

  @Test func prefixes() throws {
    let prefix = { (text: String) in try #require(IPPrefix(text)) }
    let address = { (text: String) in try #require(IPAddress(text)) }
    #expect(try prefix("10.1.0.1/24").description == "10.1.0.1/24")
    #expect(try prefix("10.1.0.1/24").hasHostBits && prefix("10.1.0.1/24").network == prefix("10.1.0.0/24"))
    #expect(
      try !prefix("2001:db8::/32").hasHostBits && !prefix("1.2.3.4/32").hasHostBits && !prefix("::/0").hasHostBits)
    #expect(
      try prefix("10.1.0.0/24").contains(address("10.1.0.255")) && !prefix("10.1.0.0/24").contains(address("10.1.1.0")))
    #expect(try prefix("0.0.0.0/0").contains(address("255.0.0.1")) && !prefix("0.0.0.0/0").contains(address("::1")))
    #expect(try prefix("::/0").contains(address("ffff::")) && !prefix("::/0").contains(address("1.2.3.4")))
    #expect(try prefix("2001:db8::8000:0:0:0/65").contains(address("2001:db8::ffff:0:0:0")))
    #expect(try !prefix("2001:db8::8000:0:0:0/65").contains(address("2001:db8::7fff:0:0:0")))
    #expect(
      try prefix("2001:db8::1/128").contains(address("2001:db8::1"))
        && !prefix("2001:db8::1/128").contains(address("2001:db8::")))
    #expect(
      try prefix("10.0.0.0/8").contains(prefix("10.2.0.0/16")) && !prefix("10.2.0.0/16").contains(prefix("10.0.0.0/8")))
    #expect(try prefix("10.1.0.1/24").broadcast == address("10.1.0.255") && prefix("10.1.0.0/31").broadcast == nil)
    #expect(try IPPrefix(host: address("1.2.3.4")) == prefix("1.2.3.4/32"))
    #expect(try IPPrefix(address: address("1.2.3.4"), length: 33) == nil)
    for text in [
      "", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "::/129", "::/1280", "/8",
      "1.2.3.4/8/8", "::ffff:0:0/96",
    ] {
      #expect(IPPrefix(text) == nil)
    }
  }
}
