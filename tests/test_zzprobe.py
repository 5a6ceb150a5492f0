import json
from tests.conftest import *  # noqa
async def test_probe(admin, drop_in, uid, app, make_key):
    async def show(api, method, path, **o):
        r = await api.client.request(method, f"{api.mount}/{path}", **o)
        print(api.mount, path, str(o)[:90], '->', r.status_code, r.headers.get('content-type'), r.text[:400])
    J={"Content-Type":"application/json"}
    for api in (admin, drop_in):
        for body in [b'', b'{', b'[]', b'"x"', b'null', b'5', b'{"database_name": "orders\\n", "uid":"a"}', b'{"uid":"\\ud800","database_name":"a"}', b'{"\\ud800":1,"uid":"a"}', b'{"uid":"a","database_name":"b","x":1}', b'{"uid":1,"database_name":null, "space_id":5,"description":[]}', b'['*100000, b'{"a":'*100000, b'\xff\xfe', b'{"uid":"\xff"}', b'1'*5000, b'{"uid":'+b'1'*5000+b'}', b'{"uid":NaN}']:
            await show(api,'POST','create_database',content=body,headers=J)
        for v in ['1.0','1.5','true','"abc"','""','0','-1',str(2**63),'9'*5000,'NaN','Infinity','1e3','"1_0"','" 5"','[]','null','"'+'9'*20+'"','"'+'9'*19+'"', '"１２３"']:
            await show(api,'POST','drop_database',content=('{"uid":"a","database_id":'+v+'}').encode(),headers=J)
        await show(api,'POST','create_database',content=b'{}')
        await show(api,'POST','create_database',content=b'{}',headers={"content-type":"text/plain"})
        await show(api,'POST','create_database',content=b'{"uid": "a"}'+b' '*2000000,headers=J)
        async def gen():
            for i in range(30): yield b' '*50000
        await show(api,'POST','create_database',content=gen(),headers=J)
        await show(api,'POST','create_database/',json={"uid":uid,"database_name":"a"})
        await show(api,'POST','nothing',json={})
        await show(api,'GET','create_database')
        await show(api,'GET','databases')
        await show(api,'GET','databases/5')
        await show(api,'GET','databases/abc')
        await show(api,'GET','databases/%00')
        await show(api,'OPTIONS','create_database')
        await show(api,'POST','create_database',json={"uid":uid,"database_name":"c"},headers={"X-Consumer-Username":"x"*100})
        for q in ['limit=0','limit=101','limit=abc','limit=1.5','limit='+'9'*4000,'cursor=zz','cursor=','cursor=-1','uid=%00','uid=','space_id=%00','name_prefix='+'a'*21,'x=1','limit=1&limit=2','cursor=%ed%a0%80','space_id='+'a'*65, 'name_prefix=%00','cursor=0x1','%ff=1']:
            await show(api,'GET','databases?'+q)
    r = await admin.client.get('/nothing'); print(r.status_code, r.text)
    r = await admin.client.get('/openapi.json'); open('/tmp/openapi.json','w').write(r.text)
